"""Folders of a run that lie within one another, and those that may."""

import pytest

from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.places import refuse_folders_within_others
from batchtrainingbooster.errors import ConfigError


def refuse(model_dir=None, **folders):
    refuse_folders_within_others(TrainingConfig(**folders), model_dir)


@pytest.mark.parametrize(
    ("inner", "at", "outer"),
    [
        (inner, at, outer)
        for inner, outer in [
            ("checkpoint_dir", "staging_dir"), ("run_dir", "staging_dir"),
            ("run_dir", "checkpoint_dir"),
        ]
        for at in ("{0}/x", "{0}/x/deep/run", "file://{0}/x/", "{0}/y/../x", "{0}/link/run")
    ],
)  # fmt: skip
def test_what_lies_within_another_folder_is_refused(tmp_path, inner, at, outer):
    (tmp_path / "link").symlink_to(tmp_path / "x")
    with pytest.raises(ConfigError, match=rf"^config_training: {inner}: \S+ is {outer}, or lies"):
        refuse(**{inner: at.format(tmp_path), outer: str(tmp_path / "x")})
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


@pytest.mark.parametrize("at", ["s3://b/x", "s3a://b/x/run", "s3://AKIA:hush@b/x/?region=eu"])
def test_uris_of_the_same_place_are_one_place(at):
    with pytest.raises(ConfigError, match=r"checkpoint_dir: .* is staging_dir") as caught:
        refuse(staging_dir="s3://b/x", checkpoint_dir=at)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("key", ["staging_dir", "checkpoint_dir"])
@pytest.mark.parametrize("own", ["model", "plots", "plots/x", "report.html", "events.jsonl"])
def test_folders_where_the_run_writes_its_own_files_are_refused(tmp_path, key, own):
    with pytest.raises(ConfigError, match=rf"{key}: \S+ is \S+/run/{own.partition('/')[0]}, or"):
        refuse(run_dir=f"file://{tmp_path}/run", **{key: str(tmp_path / "run" / own)})


@pytest.mark.parametrize("key", ["staging_dir", "checkpoint_dir"])
def test_names_that_no_folder_can_have_are_refused(key):
    for bad in ("a\0b", "a\ud800b"):
        with pytest.raises(ConfigError, match=f"{key}: got 'a.*b', which no folder can be called"):
            refuse(**{key: bad})


@pytest.mark.parametrize(
    ("model_dir", "folders", "message"),
    [
        ("run", {"run_dir": "run"}, "run_dir: {0}/run is model_dir, or"),
        ("out", {"run_dir": "out/run"}, "run_dir: {0}/out/run is model_dir, or lies within it"),
        ("run/plots", {"run_dir": "run"}, "model_dir: {0}/run/plots is {0}/run/plots, or"),
        ("run/plots/m", {"run_dir": "run"}, "model_dir: {0}/run/plots/m is {0}/run/plots, or"),
        ("run/model/m", {"run_dir": "run"}, "model_dir: {0}/run/model/m is {0}/run/model, or"),
        ("s", {"staging_dir": "s"}, "model_dir: {0}/s is staging_dir, or"),
        ("out", {"staging_dir": "out/s"}, "staging_dir: {0}/out/s is model_dir, or"),
        ("out", {"checkpoint_dir": "out/c"}, "checkpoint_dir: {0}/out/c is model_dir, or"),
    ],
)
def test_a_model_that_would_replace_another_folder_is_refused(
    tmp_path, model_dir, folders, message
):
    folders = {key: str(tmp_path / folder) for key, folder in folders.items()}
    with pytest.raises(ConfigError) as caught:
        refuse(str(tmp_path / model_dir), **folders)
    assert message.format(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "folders",
    [
        {},
        {"run_dir": "run", "checkpoint_dir": "run/checkpoints", "staging_dir": "run/staged"},
        {"run_dir": "run", "checkpoint_dir": "run/c", "staging_dir": "run/c/staged"},
        {"run_dir": "run", "checkpoint_dir": "run2", "staging_dir": "run3", "model_dir": "run4"},
        {"run_dir": "run", "model_dir": "run/model"},
        {"run_dir": "run", "model_dir": "run/export"},
        {"run_dir": "run", "checkpoint_dir": "run/models", "staging_dir": "run/plots2"},
        {"checkpoint_dir": "c", "staging_dir": "c/staged", "model_dir": "m"},
    ],
)
def test_folders_beside_one_another_are_allowed(tmp_path, folders):
    refuse(**{key: str(tmp_path / folder) for key, folder in folders.items()})


def test_the_same_path_elsewhere_is_another_place(tmp_path):
    refuse(
        run_dir=str(tmp_path / "a"), staging_dir=f"s3://{tmp_path}/a", checkpoint_dir="hdfs://h/a"
    )
