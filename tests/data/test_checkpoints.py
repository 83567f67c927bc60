"""Checkpoints are whole or not there, on a local disk and where nothing is atomic."""

import json
import logging
import os
import shutil
from contextlib import suppress

import attrs
import pytest
from hostile_json import hostile, hostile_value
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from torn import Died, TornFileSystem

from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.places import checkpoint_folder
from batchtrainingbooster.core.ports import Checkpoint
from batchtrainingbooster.core.serialization import sealed
from batchtrainingbooster.core.state import RunState
from batchtrainingbooster.core.stopping import Best
from batchtrainingbooster.data.checkpoints import (
    FORMAT_VERSION,
    CheckpointFolder,
    complete_checkpoints,
)
from batchtrainingbooster.data.files import written
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.lock import FolderLock
from batchtrainingbooster.errors import CheckpointError, ConfigError, FingerprintMismatchError

IDENTITY = {"config_model": {"max_depth": 3, "eval_metric": ("auc",)}, "data": {"rows": 7}}
ENVIRONMENT = {"xgboost": "3.2.0", "processors": 2}


@pytest.fixture(params=["local", "torn"])
def folder(request, tmp_path):
    TornFileSystem.reset()
    yield Folder(f"torn://{tmp_path}" if request.param == "torn" else str(tmp_path))
    TornFileSystem.reset()


@pytest.fixture
def lock(folder):
    with FolderLock(folder, "checkpoint_dir", CheckpointError) as lock:
        yield lock


@pytest.fixture
def opened(folder, lock):
    def open_(resume="auto", identity=None, environment=None):
        return CheckpointFolder(
            folder, lock, identity or IDENTITY, environment or ENVIRONMENT, resume
        )

    return open_


def checkpoint(visit):
    rows = tuple(
        Row(i, i, 0, i, i + 1, 0.1, {"auc": 0.5}, {"auc": float("nan")}, 0.01) for i in range(visit)
    )
    state = RunState(
        visit=visit,
        history=History(rows),
        improved=(True,) * visit,
        best=Best(0.7, visit - 1, visit - 1, visit),
    )
    return Checkpoint(state, {"model.ubj": bytes([visit]) * 1000, "é.cbm": b""})


def same(found, expected):
    return repr(found.state) == repr(expected.state) and found.model == expected.model


def test_what_is_kept_comes_back(opened):
    assert opened().load() is None
    opened().save(checkpoint(3))
    assert same(opened().load(), checkpoint(3))
    assert same(opened("must").load(), checkpoint(3))


def test_only_the_last_two_stay(opened, folder):
    store = opened()
    for visit in range(1, 6):
        store.save(checkpoint(visit))
    assert folder.folders() == ["checkpoint-000004", "checkpoint-000005"]
    assert same(opened().load(), checkpoint(5))
    # Another run in the folder goes on counting.
    opened().save(checkpoint(6))
    assert complete_checkpoints(folder) == ["checkpoint-000005", "checkpoint-000006"]


def test_death_at_any_byte_leaves_the_checkpoint_before(tmp_path):
    folder = Folder(f"torn://{tmp_path}")
    TornFileSystem.reset()
    outcomes = set()
    with FolderLock(folder, "checkpoint_dir", CheckpointError) as lock:
        store = CheckpointFolder(folder, lock, IDENTITY, ENVIRONMENT, "auto")
        TornFileSystem.reset()
        store.save(checkpoint(3))
        total = TornFileSystem.written
        assert total > 2000
        store.save(checkpoint(2))
        for dies_at in [*range(0, total, 97), total - 1, total]:
            TornFileSystem.reset(dies_at_byte=dies_at)
            store = CheckpointFolder(folder, lock, IDENTITY, ENVIRONMENT, "auto")
            before = len(complete_checkpoints(folder))
            with suppress(Died):
                store.save(checkpoint(3))
            TornFileSystem.reset()
            found = CheckpointFolder(folder, lock, IDENTITY, ENVIRONMENT, "auto").load()
            assert same(found, checkpoint(found.state.visit))
            outcomes.add((dies_at >= total, found.state.visit))
            assert len(complete_checkpoints(folder)) >= min(before, 2)
            if found.state.visit == 3:
                for name in folder.folders():
                    folder.delete_folder(name)
                CheckpointFolder(folder, lock, IDENTITY, ENVIRONMENT, "auto").save(checkpoint(2))
    assert outcomes == {(False, 2), (True, 3)}


@pytest.mark.parametrize("quota", [0, 500, 1200, 1800])
def test_full_disk_is_an_error_and_the_checkpoint_before_stays(tmp_path, quota):
    folder = Folder(f"torn://{tmp_path}")
    TornFileSystem.reset()
    with FolderLock(folder, "checkpoint_dir", CheckpointError) as lock:
        store = CheckpointFolder(folder, lock, IDENTITY, ENVIRONMENT, "auto")
        store.save(checkpoint(1))
        TornFileSystem.reset(quota=quota)
        with pytest.raises(CheckpointError, match=r"cannot be written.*No space left.*make room"):
            store.save(checkpoint(2))
        TornFileSystem.reset()
        assert folder.folders() == ["checkpoint-000001"]
        again = CheckpointFolder(folder, lock, IDENTITY, ENVIRONMENT, "must")
        assert same(again.load(), checkpoint(1))
        store.save(checkpoint(2))
        assert len(complete_checkpoints(folder)) == 2


def test_unfinished_checkpoints_do_not_count_and_go(opened, folder):
    opened().save(checkpoint(1))
    folder.write("checkpoint-000002/model.ubj", b"half")
    assert same(opened().load(), checkpoint(1))
    store = opened()
    store.save(checkpoint(2))
    assert folder.folders() == ["checkpoint-000001", "checkpoint-000003"]


def test_never_starts_anew_and_keeps_the_old_ones_until_a_new_one_is_whole(opened, folder):
    opened().save(checkpoint(4))
    store = opened("never", {"another": "run"})
    assert store.load() is None
    assert folder.folders() == ["checkpoint-000001"]
    store.save(checkpoint(1))
    store.save(checkpoint(2))
    assert folder.folders() == ["checkpoint-000002", "checkpoint-000003"]
    assert same(opened("auto", {"another": "run"}).load(), checkpoint(2))


def test_must_refuses_to_start_anew(opened):
    with pytest.raises(
        CheckpointError, match=r"resume: 'must', but there is no checkpoint in \S*/"
    ):
        opened("must")


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        (
            {**IDENTITY, "config_model": {"max_depth": 4, "eval_metric": ("auc",)}},
            r"config_model.max_depth: 3 then, 4 now\. Name another checkpoint_dir",
        ),
        ({**IDENTITY, "data": {"rows": 8}}, r"data.rows: 7 then, 8 now"),
        ({"data": {"rows": 7}}, r"config_model: \{'max_depth': 3, .*\} then, absent now"),
    ],
)
@pytest.mark.parametrize("resume", ["auto", "must"])
def test_checkpoints_of_another_run_are_refused_by_what_differs(opened, identity, message, resume):
    opened().save(checkpoint(1))
    with pytest.raises(FingerprintMismatchError, match=message):
        opened(resume, identity)


def test_another_environment_is_warned_of(opened, caplog):
    opened().save(checkpoint(1))
    with caplog.at_level(logging.WARNING):
        found = opened(environment={**ENVIRONMENT, "processors": 64}).load()
    assert same(found, checkpoint(1))
    assert "was written elsewhere (processors: 2 then, 64 now)" in caplog.text


def flip(path, at=0.5):
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "flipped bit in the model": (lambda f: flip(f / "model.ubj"), "model.ubj is damaged: its SHA"),
    "truncated model": (lambda f: os.truncate(f / "model.ubj", 99), "model.ubj is damaged"),
    "missing model": (lambda f: (f / "model.ubj").unlink(), "model.ubj is missing"),
    "flipped bit in the state": (lambda f: flip(f / "state.json"), "state.json is damaged: its"),
    "missing state": (lambda f: (f / "state.json").unlink(), "state.json is missing"),
    "extra file": (lambda f: (f / "more.ubj").touch(), "more.ubj is not ours"),
    "truncated description": (
        lambda f: os.truncate(f / "checkpoint.json", 99), "checkpoint.json is damaged: no JSON",
    ),
    "missing description": (
        lambda f: (f / "checkpoint.json").unlink(), "checkpoint.json cannot be read",
    ),
    "newer version": (
        lambda f: (f / "checkpoint.json").write_text('{"format_version": 9}'),
        "checkpoint.json has format 9; this version reads format 1: install a newer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_checkpoint_is_refused_by_file(opened, folder, tmp_path, name):
    damage, message = DAMAGE[name]
    for visit in (1, 2):
        opened().save(checkpoint(visit))
    damage(tmp_path / "checkpoint-000002")
    with pytest.raises(CheckpointError, match=rf"checkpoint-000002/{message}") as caught:
        opened()
    # What it says to do helps.
    assert f"Delete {folder}/checkpoint-000002 to go on" in str(caught.value)
    shutil.rmtree(tmp_path / "checkpoint-000002")
    assert same(opened().load(), checkpoint(1))


def test_every_flipped_bit_of_the_description_is_noticed(opened, tmp_path):
    opened().save(checkpoint(2))
    file = tmp_path / "checkpoint-000001" / "checkpoint.json"
    whole = file.read_bytes()
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << (at % 8)
        file.write_bytes(damaged)
        # Between two values, a bit may make one blank of another.
        try:
            found = opened().load()
        except CheckpointError:
            continue
        assert json.loads(damaged) == json.loads(whole), at
        assert same(found, checkpoint(2))


def test_nothing_but_bytes_of_the_booster_and_json_is_kept(opened, tmp_path):
    opened().save(attrs.evolve(checkpoint(1), model={"model.ubj": b"x"}))
    kept = {path.name: path for path in (tmp_path / "checkpoint-000001").iterdir()}
    assert sorted(kept) == ["COMPLETE", "checkpoint.json", "model.ubj", "state.json"]
    for name in ("checkpoint.json", "state.json"):
        assert json.loads(kept[name].read_text())


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_only_named_errors_come_out_of_any_checkpoint(tmp_path_factory, data):
    """Description or state are changed at random, with checksums that fit, or bytes are."""
    folder = Folder(str(tmp_path_factory.mktemp("fuzzed")))
    with FolderLock(folder, "checkpoint_dir", CheckpointError) as lock:
        CheckpointFolder(folder, lock, IDENTITY, ENVIRONMENT, "auto").save(checkpoint(2))
        name = "checkpoint-000001/checkpoint.json"
        description = bytes(folder.read(name))
        if data.draw(st.booleans(), "state"):
            state = json.loads(bytes(folder.read("checkpoint-000001/state.json")))
            state = json.dumps(hostile_value(data, state)).encode()
            written_now = written(folder, "checkpoint-000001/state.json", state)
            content = json.loads(description)["content"]
            for file in content["files"]:
                if file["name"] == written_now.name:
                    file.update(size=written_now.size, sha256=written_now.sha256)
            folder.write(name, sealed(content, FORMAT_VERSION))
        else:
            folder.write(name, hostile(data, description, FORMAT_VERSION))
        try:
            store = CheckpointFolder(folder, lock, IDENTITY, ENVIRONMENT, "auto")
        except CheckpointError:
            event("refused")
        else:
            assert isinstance(store.load().state, RunState)


def test_storage_that_fails_for_a_moment_costs_no_run_that_has_written(opened, monkeypatch, caplog):
    store = opened()
    store.save(checkpoint(1))

    def failing(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Folder, "folders", failing)
    store.save(checkpoint(2))
    assert "Older checkpoints stay for now" in caplog.text
    with pytest.raises(CheckpointError, match=r"cannot be read: .*Input/output error"):
        opened()
    monkeypatch.undo()
    assert same(opened().load(), checkpoint(2))


def test_must_resume_needs_a_folder():
    with (
        pytest.raises(ConfigError, match="resume: 'must' needs checkpoint_dir"),
        checkpoint_folder(TrainingConfig(resume="must")),
    ):
        pytest.fail("from where?")
