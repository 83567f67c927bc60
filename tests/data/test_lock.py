"""One run at a time: a lock, and what becomes of that of a process that died."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from torn import TornFileSystem

from batchtrainingbooster.data import lock as locks
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.lock import FolderLock, Owner
from batchtrainingbooster.errors import CheckpointError


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(locks, "DEAD_AFTER_SECONDS", 0.5)


@pytest.fixture(params=["local", "torn"])
def folder(request, tmp_path):
    TornFileSystem.reset()
    return Folder(f"torn://{tmp_path}" if request.param == "torn" else str(tmp_path))


def lock_of(folder):
    return FolderLock(folder, "checkpoint_dir", CheckpointError)


def owner_in(tmp_path):
    return json.loads((tmp_path / "lock.json").read_text())


def test_second_is_refused_while_the_first_lives_and_not_after(folder, tmp_path):
    with lock_of(folder) as first:
        with pytest.raises(CheckpointError) as caught, lock_of(folder):
            pytest.fail("two have the lock")
        assert f"{folder} is in use by process {os.getpid()} on " in str(caught.value)
        assert "name another checkpoint_dir" in str(caught.value)
        first.confirm()
    assert not (tmp_path / "lock.json").exists()
    with lock_of(folder):
        pass


def test_lock_is_written_anew_while_it_is_held(folder, tmp_path):
    with lock_of(folder):
        before = owner_in(tmp_path)["beat"]
        time.sleep(0.4)
        assert owner_in(tmp_path)["beat"] > before


def test_lock_of_a_killed_process_is_taken_over_at_once(folder, tmp_path, caplog):
    code = (
        "import os, signal\n"
        "from batchtrainingbooster.data.lock import FolderLock\n"
        "from batchtrainingbooster.data.filesystem import Folder\n"
        f"with FolderLock(Folder({str(tmp_path)!r}), 'x', RuntimeError):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == -9
    dead = owner_in(tmp_path)
    start = time.monotonic()
    with lock_of(folder):
        assert time.monotonic() - start < locks.DEAD_AFTER_SECONDS + locks._SETTLING_SECONDS
        assert owner_in(tmp_path)["token"] != dead["token"]
    assert f"taken over from process {dead['pid']} on" in caplog.text


def test_number_of_a_dead_process_that_is_used_again_does_not_count(folder, tmp_path):
    (tmp_path / "lock.json").write_text(json.dumps(owner(started="1")))
    with lock_of(folder):
        pass


def owner(**changes):
    own = Owner.of_this_process()
    fields = {name: getattr(own, name) for name in ("machine", "pid", "started", "token")}
    return {**fields, "token": "another", "beat": 0, **changes}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', None])
def test_lock_of_another_machine_or_no_lock_at_all_is_watched_until_it_is_dead(
    folder, tmp_path, content
):
    content = json.dumps(owner(machine="elsewhere")) if content is None else content
    (tmp_path / "lock.json").write_text(content)
    start = time.monotonic()
    with lock_of(folder):
        assert time.monotonic() - start >= locks.DEAD_AFTER_SECONDS


def test_lock_of_another_machine_that_changes_is_refused(folder, tmp_path):
    stop = threading.Event()

    def beat():
        n = 0
        while not stop.wait(0.05):
            n += 1
            (tmp_path / "lock.json").write_text(json.dumps(owner(machine="far away", beat=n)))

    (tmp_path / "lock.json").write_text(json.dumps(owner(machine="far away")))
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(CheckpointError, match=r"in use by process \d+ on far"), lock_of(folder):
            pytest.fail("taken from the living")
    finally:
        stop.set()
        thread.join()


def test_lock_that_is_given_back_while_it_is_watched_is_free(folder, tmp_path):
    file = tmp_path / "lock.json"
    file.write_text(json.dumps(owner(machine="elsewhere")))
    threading.Timer(0.15, file.unlink).start()
    with lock_of(folder):
        assert owner_in(tmp_path)["pid"] == os.getpid()


def test_who_lost_the_lock_is_told_and_leaves_the_other_alone(folder, tmp_path):
    with lock_of(folder) as lock:
        lock.confirm()
        (tmp_path / "lock.json").write_text(json.dumps(owner(machine="elsewhere x")))
        with pytest.raises(CheckpointError, match=r"was taken over by process \d+ on elsewhere;"):
            lock.confirm()
        time.sleep(0.2)
        assert owner_in(tmp_path)["machine"] == "elsewhere x"
    assert owner_in(tmp_path)["machine"] == "elsewhere x"


def test_lock_that_somebody_deleted_is_lost(folder, tmp_path):
    with lock_of(folder) as lock:
        (tmp_path / "lock.json").unlink()
        with pytest.raises(CheckpointError, match="was unlocked by somebody"):
            lock.confirm()


def test_of_many_that_start_at_once_one_gets_it(tmp_path):
    code = (
        "import sys, time\n"
        "from batchtrainingbooster.data.lock import FolderLock\n"
        "from batchtrainingbooster.data.filesystem import Folder\n"
        "from batchtrainingbooster.errors import CheckpointError\n"
        "sys.stdin.read(1)\n"
        "try:\n"
        f"    with FolderLock(Folder({str(tmp_path)!r}), 'x', CheckpointError):\n"
        "        print('mine', flush=True); time.sleep(1.5)\n"
        "except CheckpointError as error:\n"
        "    print(error)\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    time.sleep(1.5)
    for child in children:
        child.stdin.write("x")
        child.stdin.flush()
    said = [child.communicate()[0].strip() for child in children]
    assert said.count("mine") == 1, said
    assert sum("is in use by " in line for line in said) == 3


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    folder = Folder(str(tmp_path / "file" / "run"))
    with pytest.raises(CheckpointError, match=r"/file/run cannot be locked: .*Not a directory"):
        lock_of(folder).__enter__()


def test_lock_survives_a_disk_that_was_full_for_a_while(folder, tmp_path, monkeypatch):
    with lock_of(folder) as lock:
        # As a write that found no room leaves it.
        (tmp_path / "lock.json").write_text("")
        lock.confirm()
        time.sleep(0.4)
        assert owner_in(tmp_path)["pid"] == os.getpid()
    assert not (tmp_path / "lock.json").exists()


@pytest.mark.parametrize("failing", [KeyboardInterrupt, OSError("no")])
def test_lock_that_is_not_entered_is_given_back(folder, tmp_path, monkeypatch, failing):
    (tmp_path / "lock.json").write_text(json.dumps(owner(started="1")))
    sleep = time.sleep

    def interrupted(seconds):
        if seconds == locks._SETTLING_SECONDS:
            raise failing
        sleep(seconds)

    monkeypatch.setattr(locks.time, "sleep", interrupted)
    with pytest.raises((KeyboardInterrupt, CheckpointError)):
        lock_of(folder).__enter__()
    assert not (tmp_path / "lock.json").exists()
    monkeypatch.undo()
    with lock_of(folder):
        pass


def test_hidden_process_of_another_user_lives(folder, tmp_path, monkeypatch):
    def kill(pid, number):
        raise PermissionError

    monkeypatch.setattr(locks, "_started", lambda pid: "7" if pid == os.getpid() else None)
    monkeypatch.setattr(locks.os, "kill", kill)
    (tmp_path / "lock.json").write_text(json.dumps(owner(pid=1, started="7")))
    with pytest.raises(CheckpointError, match="in use by process 1 on"), lock_of(folder):
        pytest.fail("taken from the living")


def test_where_no_start_is_known_the_lock_is_watched(folder, tmp_path):
    (tmp_path / "lock.json").write_text(json.dumps(owner(started="")))
    start = time.monotonic()
    with lock_of(folder):
        assert time.monotonic() - start >= locks.DEAD_AFTER_SECONDS


def test_failure_to_give_back_does_not_hide_the_outcome(folder, tmp_path, caplog, monkeypatch):
    def broken(self, name):
        raise OSError(5, "Input/output error")

    lock = lock_of(folder).__enter__()
    monkeypatch.setattr(Folder, "delete", broken)
    lock.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert "lock.json cannot be deleted" in caplog.text
