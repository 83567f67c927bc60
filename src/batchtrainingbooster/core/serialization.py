"""Value objects to JSON and back: one converter, and one form in files, which proves itself."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

import cattrs

from batchtrainingbooster.core.config import Label
from batchtrainingbooster.errors import BatchTrainingError

T = TypeVar("T")


def _structure_label(value: Any, _: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        msg = f"{value!r} is no label"
        raise TypeError(msg)
    return value


converter = cattrs.Converter(forbid_extra_keys=True)
converter.register_structure_hook_func(lambda kind: kind == Label, _structure_label)
converter.register_unstructure_hook_func(lambda kind: kind == Label, lambda value: value)


def sealed(value: Any, version: int) -> bytes:
    """A value object as a JSON file that holds its version and its own checksum."""
    content = converter.unstructure(value)
    document = {"format_version": version, "sha256": _checksum(content), "content": content}
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")


def unsealed(
    data: bytes,
    cls: type[T],
    version: int,
    where: str,
    error: type[BatchTrainingError],
    *,
    oldest: int | None = None,
) -> T:
    """The value object in such a file.

    Parameters
    ----------
    data : bytes
    cls : type
    version : int
        The one that is read.
    where : str
        The file, for messages.
    error : type of BatchTrainingError
    oldest : int, optional
        Versions from this one on are read too.

    Raises
    ------
    BatchTrainingError
        The given one, if the file is of another version, damaged, or no such file.
    """
    document = parsed(data, where, error)
    found = document.get("format_version") if isinstance(document, dict) else None
    if type(found) is int and not (oldest or version) <= found <= version:
        newer = "install a newer batchtrainingbooster" if found > version else "write it again"
        msg = f"{where} has format {found}; this version reads format {version}: {newer}"
        raise error(msg)
    if found is None or set(document) != {"format_version", "sha256", "content"}:
        msg = f"{where} is damaged, or no file of ours"
        raise error(msg)
    content = document["content"]
    if document["sha256"] != _checksum(content):
        msg = f"{where} is damaged: its SHA-256 is not that of its content"
        raise error(msg)
    return structured(content, cls, where, error)


def parsed(data: bytes, where: str, error: type[BatchTrainingError]) -> Any:
    """What a JSON file holds.

    Raises
    ------
    BatchTrainingError
        The given one, if it is no JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as cause:
        msg = f"{where} is damaged: no JSON: {str(cause)[:200]}"
        raise error(msg) from cause


def structured(content: Any, cls: type[T], where: str, error: type[BatchTrainingError]) -> T:
    """JSON as a value object.

    Raises
    ------
    BatchTrainingError
        The given one, naming the first fields that do not fit.
    """
    try:
        return converter.structure(content, cls)
    except Exception as cause:
        lines = cattrs.transform_error(cause, format_exception=_worded)
        details = "; ".join(line[:200] for line in lines[:3])
        msg = f"{where} is damaged: {details}"
        raise error(msg) from cause


def _worded(cause: BaseException, kind: type[Any] | None) -> str:
    """The words of validators; cattrs' for its own errors."""
    return str(cause) if type(cause) is ValueError else cattrs.v.format_exception(cause, kind)


def _checksum(content: Any) -> str:
    # Escaped, so that every text has bytes, half of a surrogate pair too.
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
