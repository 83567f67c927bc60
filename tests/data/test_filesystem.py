import re
import traceback

import pytest
from torn import TornFileSystem

from batchtrainingbooster.data.filesystem import Folder, is_within, place_of
from batchtrainingbooster.data.manifest import read_manifest
from batchtrainingbooster.errors import ConfigError, StagingError


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_paths_and_uris_are_the_same_folder(tmp_path, prefix):
    folder = Folder(f"{prefix}{tmp_path}/a b")
    assert folder.names() == []
    folder.write("é/x.json", b"{}")
    assert (tmp_path / "a b" / "é" / "x.json").read_bytes() == b"{}"
    assert bytes(folder.read("é/x.json")) == b"{}"
    assert folder.names() == ["é/x.json"]
    assert folder.sizes("é") == folder.sizes() == {"é/x.json": 2}
    assert folder.folders() == ["é"]
    assert folder.size("é/x.json") == 2
    assert folder.size("y.json") is None
    assert folder.within("é").names() == ["x.json"]
    assert folder.uri == f"file://{tmp_path}/a b"
    folder.delete("é/x.json")
    assert folder.names() == []


def test_relative_path_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Folder("staged").uri == f"file://{tmp_path}/staged"


def test_new_file_is_not_written_over_another(tmp_path):
    folder = Folder(str(tmp_path / "s"))
    assert folder.write_new("x", b"first")
    with pytest.raises(FileExistsError):
        folder.write_new("x", b"second")
    assert bytes(folder.read("x")) == b"first"


def test_unknown_scheme_is_refused_by_name():
    with pytest.raises(ConfigError, match="no filesystem for nowhere://"):
        Folder("nowhere://bucket/staged")


def test_folder_without_a_manifest_is_no_staged_folder(tmp_path):
    with pytest.raises(StagingError, match=r"is no staged folder, or staging never finished"):
        read_manifest(Folder(str(tmp_path)))


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("s3://AKIA:wJalr/XUt@nFEMI@bucket/rows", None),
        ("nowhere://me:secret@host/rows?token=secret", "nowhere://"),
    ],
)
def test_credentials_in_a_uri_are_in_no_message(location, shown):
    try:
        text = str(Folder(location))
    except ConfigError as error:
        text = "".join(traceback.format_exception(error))
    assert not {"secret", "wJalr", "nFEMI"} & set(re.split(r"\W+", text))
    assert shown is None or shown in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged: no JSON: Expecting property name"),
        ("[" * 100_000, "is damaged: no JSON"),
        ("[]", "is damaged, or no file of ours"),
        ('{"format_version": 99}', "has format 99; this version reads format 2: install a newer"),
        ('{"format_version": 1}', "has format 1; this version reads format 2: write it again"),
        ('{"format_version": 2, "surprise": 2}', "is damaged, or no file of ours"),
        ('{"format_version": "1; DROP"}', "is damaged, or no file of ours"),
        (
            '{"format_version": 2, "sha256": "", "content": {}}',
            "is damaged: its SHA-256 is not that of its content",
        ),
    ],
)
def test_bad_manifest_is_refused(tmp_path, content, message):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StagingError, match=rf"manifest\.json {message}"):
        read_manifest(Folder(str(tmp_path)))


class ForeignError(Exception):
    """As libraries behind fsspec raise."""


@pytest.mark.parametrize("kind", [ForeignError, OSError, FileNotFoundError])
def test_what_other_libraries_raise_is_an_os_error_without_secrets(tmp_path, monkeypatch, kind):
    folder = Folder(f"torn://{tmp_path}")

    def fail(*args, **kwargs):
        msg = "503 https://account/x?sig=hidden"
        raise kind(msg)

    for method in ("isfile", "exists", "open", "find", "info", "rm", "makedirs"):
        monkeypatch.setattr(TornFileSystem, method, fail)
    for call in (
        lambda: folder.read("x"),
        lambda: folder.write("x", b""),
        folder.names,
        lambda: folder.delete("x"),
    ):
        with pytest.raises(OSError, match=r"sig=\*\*\*") as caught:
            call()
        assert "hidden" not in str(caught.value)
        assert caught.value.__suppress_context__, "a traceback would show it"


def test_options_of_a_uri_stay_behind_its_path(tmp_path):
    assert Folder(f"torn://{tmp_path}?a=b").within("c").uri == f"torn://{tmp_path}/c?a=b"


@pytest.mark.parametrize(
    ("other", "holds"), [("s", True), ("s/run", True), ("s2", False), ("", False)]
)
def test_folders_that_hold_one_another(tmp_path, other, holds):
    assert is_within(place_of(str(tmp_path / other)), place_of(str(tmp_path / "s"))) == holds


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{0}/s", "file://{0}/s/"),
        ("{0}/s", "{0}//t/../s/."),
        ("{0}/s", "{0}/link"),
        ("{0}/s", "s"),
        ("{0}/s", "~/s"),
        ("s3://bucket/s", "s3a://key:hush@bucket//s/?region=eu"),
        ("s3://bucket/s", "s3n://bucket/s/"),
        ("hdfs://host:1/s", "hdfs://host:1/t/../s"),
    ],
)
def test_one_place_has_one_spelling(tmp_path, monkeypatch, one, other):
    (tmp_path / "link").symlink_to(tmp_path / "s")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_of(one.format(tmp_path)) == place_of(other.format(tmp_path))
    assert place_of(one.format(tmp_path)) != place_of(f"{one.format(tmp_path)}2")
    assert is_within(place_of("/s"), place_of("/"))
    assert not is_within(place_of("s3://bucket/s"), place_of("/"))


def test_home_of_nobody_is_refused():
    with pytest.raises(ConfigError, match="no folder '~nobody-of-that-name/x'"):
        Folder("~nobody-of-that-name/x")
