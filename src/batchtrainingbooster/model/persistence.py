"""A model as a folder: the booster's own file and JSON; no pickle, nothing that runs code."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import cattrs

from batchtrainingbooster.backends.registry import BACKENDS, load_backend
from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.errors import ModelFormatError
from batchtrainingbooster.model.boosted_model import BoostedModel, ModelInfo

METADATA = "metadata.json"
HISTORY = "history.json"
FORMAT_VERSION = 1


def save(model: BoostedModel, path: str | os.PathLike[str]) -> None:
    """See ``BoostedModel.save``."""
    folder = check_place(path)
    native_file = load_backend(model.info.backend).NATIVE_FILE
    metadata = {
        "format_version": FORMAT_VERSION,
        "native_file": native_file,
        "native_sha256": hashlib.sha256(model.native).hexdigest(),
        "model": converter.unstructure(model.info),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and renamed, so that half a model is never taken for a whole one.
    temporary = folder.parent / f".{folder.name}.{uuid4().hex}"
    temporary.mkdir()
    try:
        (temporary / native_file).write_bytes(model.native)
        _write_json(temporary / HISTORY, converter.unstructure(model.history))
        _write_json(temporary / METADATA, metadata)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_place(path: str | os.PathLike[str]) -> Path:
    """The folder, if a model may be saved there.

    Raises
    ------
    ModelFormatError
        If it holds something other than a model.
    """
    folder = Path(path).absolute()
    if folder.exists() and not (folder / METADATA).is_file() and _has_content(folder):
        msg = f"{folder} exists and is no saved model; name another folder"
        raise ModelFormatError(msg)
    return folder


def load(path: str | os.PathLike[str]) -> BoostedModel:
    """See ``BoostedModel.load``."""
    folder = Path(path)
    metadata, info = _metadata(folder)
    history = _structure(_read_json(folder / HISTORY), History, folder / HISTORY)
    native_file = folder / load_backend(info.backend).NATIVE_FILE
    try:
        native = native_file.read_bytes()
    except OSError as error:
        msg = f"{native_file} cannot be read: {error}"
        raise ModelFormatError(msg) from error
    if hashlib.sha256(native).hexdigest() != metadata.get("native_sha256"):
        msg = f"{native_file} is not the file that was saved: its SHA-256 differs from {METADATA}"
        raise ModelFormatError(msg)
    return BoostedModel(info, native, history)


def load_info(path: str | os.PathLike[str]) -> ModelInfo:
    """What a saved model is, without its trees or its booster.

    Raises
    ------
    ModelFormatError
        If the folder is no model, is damaged, or a newer version wrote it.
    """
    return _metadata(Path(path))[1]


def _metadata(folder: Path) -> tuple[dict[str, Any], ModelInfo]:
    if not (folder / METADATA).is_file():
        msg = f"{folder} is no saved model: it has no {METADATA}"
        raise ModelFormatError(msg)
    metadata = _read_json(folder / METADATA)
    version = metadata.get("format_version") if isinstance(metadata, dict) else None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        msg = (
            f"{folder / METADATA} has format {version!r}; this version reads up to "
            f"{FORMAT_VERSION}: install a newer batchtrainingbooster"
        )
        raise ModelFormatError(msg)
    info = _structure(metadata.get("model"), ModelInfo, folder / METADATA)
    if info.backend not in BACKENDS:
        msg = f"{folder / METADATA}: backend {info.backend!r} is not known to this version"
        raise ModelFormatError(msg)
    return metadata, info


def _structure(content: Any, cls: type[Any], file: Path) -> Any:
    try:
        return converter.structure(content, cls)
    except Exception as error:
        details = "; ".join(cattrs.transform_error(error)[:3])
        msg = f"{file} is damaged: {details}"
        raise ModelFormatError(msg) from error


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{file} cannot be read: {error}"
        raise ModelFormatError(msg) from error


def _has_content(folder: Path) -> bool:
    return not folder.is_dir() or any(folder.iterdir())
