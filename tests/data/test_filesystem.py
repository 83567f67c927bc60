import json

import pytest

from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import read_manifest
from batchtrainingbooster.errors import ConfigError, StagingError


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_paths_and_uris_are_the_same_folder(tmp_path, prefix):
    folder = Folder(f"{prefix}{tmp_path}/a b")
    assert folder.names() == []
    folder.write_json("x.json", {"é": 1})
    assert json.loads((tmp_path / "a b" / "x.json").read_text()) == {"é": 1}
    assert folder.read_json("x.json") == {"é": 1}
    assert folder.names() == ["x.json"]
    assert folder.size("x.json") > 0
    assert folder.size("y.json") is None
    assert folder.uri == f"file://{tmp_path}/a b"
    folder.delete("x.json")
    assert folder.names() == []


def test_relative_path_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Folder("staged").uri == f"file://{tmp_path}/staged"


def test_clear_empties_a_folder(tmp_path):
    folder = Folder(str(tmp_path / "s"))
    folder.write_json("x.json", 1)
    (tmp_path / "s" / "deep" / "er").mkdir(parents=True)
    folder.clear()
    assert list((tmp_path / "s").iterdir()) == []


def test_unknown_scheme_is_refused_by_name():
    with pytest.raises(ConfigError, match="no filesystem for nowhere://"):
        Folder("nowhere://bucket/staged")


def test_folder_without_a_manifest_is_no_staged_folder(tmp_path):
    with pytest.raises(StagingError, match=r"is no staged folder, or staging never finished"):
        read_manifest(Folder(str(tmp_path)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged: Expecting property name"),
        ("[]", "is damaged"),
        ('{"format_version": 99}', "has format 99; this version reads up to 1"),
        ('{"format_version": 1, "surprise": 2}', "is damaged"),
        ('{"format_version": "1; DROP"}', "is damaged"),
    ],
)
def test_bad_manifest_is_refused(tmp_path, content, message):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StagingError, match=message):
        read_manifest(Folder(str(tmp_path)))
