"""Staged files are what was written, or an error names the one that is not, before training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_json import hostile
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from test_staging import frame_of, stage_to

from batchtrainingbooster.cli.describe import describe
from batchtrainingbooster.core.serialization import sealed
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import FORMAT_VERSION, read_manifest
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.errors import BatchTrainingError, StagingError


@pytest.fixture(scope="module")
def pristine(spark, tmp_path_factory):
    path = tmp_path_factory.mktemp("staged")
    frame = frame_of(spark, 300)
    stage_to(path, frame, num_batches=2, validation_fraction=0.2)
    return path, frame


@pytest.fixture
def staged(pristine, tmp_path):
    shutil.copytree(pristine[0], tmp_path / "s")
    return tmp_path / "s"


def source_of(path):
    folder = Folder(str(path))
    return StagedSource(folder, read_manifest(folder))


def first_file(path, batch):
    return path / read_manifest(Folder(str(path))).batches[batch].files[0].name


def flip(file, at):
    content = bytearray(file.read_bytes())
    content[at % len(content)] ^= 1 << (at % 8)
    file.write_bytes(content)


def test_any_flipped_bit_is_noticed_before_training(staged):
    file = first_file(staged, 1)
    whole = file.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        flip(file, at)
        with pytest.raises(StagingError, match=file.name):
            source_of(staged).batch(1)
        file.write_bytes(whole)
    source_of(staged).batch(1)


@pytest.mark.parametrize("whose", ["reference", "validation"])
def test_reference_and_validation_rows_are_verified_too(staged, whose):
    manifest = read_manifest(Folder(str(staged)))
    part = manifest.validation if whose == "validation" else manifest.batches[0]
    file = staged / part.files[0].name
    flip(file, file.stat().st_size // 3)
    with pytest.raises(StagingError, match=file.name):
        getattr(source_of(staged), whose)()


DAMAGE = {
    "truncated": (lambda file: os.truncate(file, file.stat().st_size - 9), "is damaged: it should"),
    "emptied": (lambda file: os.truncate(file, 0), "is damaged: it should have"),
    "missing": (lambda file: file.unlink(), "is missing"),
    "one too many": (
        lambda file: shutil.copy(file, file.parent / "part-more.parquet"), "is not ours",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_other_files_are_refused_before_they_are_used_again(pristine, staged, name):
    damage, message = DAMAGE[name]
    file = first_file(staged, 0)
    damage(file)
    named = "part-more.parquet" if name == "one too many" else file.name
    with pytest.raises(StagingError, match=rf"{named} {message}"):
        stage_to(staged, pristine[1], num_batches=2, validation_fraction=0.2)
    if name != "one too many":
        with pytest.raises(StagingError, match=file.name):
            source_of(staged).batch(0)


def test_hidden_files_do_not_count(pristine, staged):
    for name in (".part-0.parquet.crc", "_SUCCESS", "_temporary/0/part-0.parquet"):
        file = first_file(staged, 0).parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    stage_to(staged, pristine[1], num_batches=2, validation_fraction=0.2)


def test_inspect_verify_reads_every_byte(staged):
    files = read_manifest(Folder(str(staged))).files
    assert describe(str(staged), verify=True)["verified"] == (
        f"{len(files)} files, {sum(f.size for f in files):,} bytes: all as they were written"
    )
    file = first_file(staged, 0)
    flip(file, file.stat().st_size // 2)
    assert "verified" not in describe(str(staged))
    with pytest.raises(StagingError, match=rf"{file.name} is damaged: its SHA-256"):
        describe(str(staged), verify=True)


# What a stranger may have written, with a checksum that fits.
FOREIGN = [
    "../secret.parquet",
    "/etc/passwd",
    "data/../../x",
    "",
    "a//b",
    "..",
    "C:\\x",
    "x\x00y",
    "s3://b/x",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_path_that_leads_out_of_the_folder_is_refused(staged, name):
    file = staged / "manifest.json"
    content = json.loads(file.read_text())["content"]
    content["batches"][0]["files"][0]["name"] = name
    file.write_bytes(sealed(content, FORMAT_VERSION))
    with pytest.raises(StagingError, match=r"manifest\.json is damaged: .*no path within"):
        read_manifest(Folder(str(staged)))


@given(data=st.data())
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
def test_only_named_errors_come_out_of_any_manifest(pristine, data):
    """Values are changed at random, with a checksum that fits, or bytes are."""
    manifest = hostile(data, (pristine[0] / "manifest.json").read_bytes(), FORMAT_VERSION)
    file = pristine[0] / "fuzzed" / "manifest.json"
    file.parent.mkdir(exist_ok=True)
    for part in pristine[0].glob("data-*"):
        link = file.parent / part.name
        if not link.exists():
            link.symlink_to(part)
    file.write_bytes(manifest)
    try:
        source = source_of(file.parent)
        for number in range(min(source.num_batches, 2)):
            source.batch(number)
        source.validation()
        describe(str(file.parent))
    except BatchTrainingError:
        event("refused")


def test_written_files_honour_the_umask(tmp_path):
    code = f"""
import os
os.umask(0o027)
from batchtrainingbooster.cli.session import start_session
from batchtrainingbooster import XGBoostTrainer
spark = start_session("umask", {{"spark.master": "local[1]"}})
rows = [(float(i), i % 2) for i in range(60)]
frame = spark.createDataFrame(rows, "x double, y int")
place = {str(tmp_path)!r}
model = XGBoostTrainer().fit(
    frame, None, "y", {{"n_estimators": 1}},
    {{"num_batches": 2, "staging_dir": place + "/s", "checkpoint_dir": place + "/c"}},
)
model.save(place + "/m")
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    written = [path for top in "scm" for path in Path(tmp_path, top).rglob("*")]
    assert len(written) > 10
    wrong = {
        str(path): oct(path.stat().st_mode)
        for path in written
        if path.stat().st_mode & 0o777 != (0o750 if path.is_dir() else 0o640)
    }
    assert wrong == {}
