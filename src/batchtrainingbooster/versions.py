"""Versions of installed libraries, as runs write them down."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed(*names: str) -> dict[str, str]:
    """Version by name; "unknown" where a library was not installed as a package.

    Examples
    --------
    >>> sorted(installed("numpy", "no such library").items())[0]
    ('no such library', 'unknown')
    """
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
