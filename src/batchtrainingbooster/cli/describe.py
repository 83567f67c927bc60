"""What ``inspect`` says of a folder; it needs neither Spark nor Java."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchtrainingbooster.core.table import FeatureKind, TableSchema
from batchtrainingbooster.data import checkpoints
from batchtrainingbooster.data import manifest as staged
from batchtrainingbooster.data.files import StoredFile, refuse_other_files
from batchtrainingbooster.data.files import verify as verify_files
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.errors import CheckpointError, ConfigError, StagingError
from batchtrainingbooster.model import persistence


def describe(path: str, *, verify: bool = False) -> dict[str, Any]:
    """A saved model, a staged folder, or the checkpoints of a run.

    Parameters
    ----------
    path : str
    verify : bool
        Read every byte, and compare it with what was written.

    Raises
    ------
    ConfigError
        If it is none of them.
    ModelFormatError, StagingError, CheckpointError
        If it is damaged.
    """
    folder = Folder(path)
    if folder.size(staged.FILE) is not None:
        manifest = staged.read_manifest(folder)
        if verify:
            refuse_other_files(folder, manifest.data_folder, manifest.files, StagingError)
            verify_files(folder, manifest.files, StagingError)
        return {**_staged(manifest), **_verified(manifest.files, verify=verify)}
    if folder.size(persistence.METADATA) is not None:
        files = persistence.verified(path) if verify else []
        return {**_model(persistence.load_info(path)), **_verified(files, verify=verify)}
    names = checkpoints.complete_checkpoints(folder)
    if names:
        found = {name: checkpoints.read_description(folder, name) for name in names}
        files = [file for description in found.values() for file in description.files]
        if verify:
            verify_files(folder, files, CheckpointError)
        return {**_checkpoints(found), **_verified(files, verify=verify)}
    msg = (
        f"{folder} is no staged folder (no {staged.FILE}), no saved model (no "
        f"{persistence.METADATA}), and has no checkpoint"
    )
    raise ConfigError(msg)


def _verified(files: Sequence[StoredFile], *, verify: bool) -> dict[str, Any]:
    if not verify:
        return {}
    size = sum(file.size for file in files)
    return {"verified": f"{len(files)} files, {size:,} bytes: all as they were written"}


def _checkpoints(found: Mapping[str, checkpoints.Description]) -> dict[str, Any]:
    newest = list(found.values())[-1]
    return {
        "kind": "checkpoints",
        "checkpoints": {
            name: {"visits": each.visits, "bytes": sum(file.size for file in each.files)}
            for name, each in found.items()
        },
        **{key: value for key, value in newest.identity.items() if key != "data"},
        "rows": newest.identity["data"]["rows"] if "data" in newest.identity else "unknown",
        "versions": newest.environment,
    }


def _staged(found: staged.Manifest) -> dict[str, Any]:
    parts = [(f"batch {i + 1}", part) for i, part in enumerate(found.batches)]
    if found.validation is not None:
        parts.append(("validation", found.validation))
    return {
        "kind": "staged folder",
        "rows": found.source_rows,
        "checksum": found.source_checksum,
        "seed": found.seed,
        **_schema(found.schema),
        "batches": {
            name: {"rows": part.rows, "by class": list(part.strata), "files": len(part.files)}
            for name, part in parts
        },
        "versions": found.versions,
        "fingerprint": found.fingerprint,
    }


def _model(info: Any) -> dict[str, Any]:
    best = info.best
    return {
        "kind": "saved model",
        "booster": f"{info.backend} {info.backend_version}",
        "objective": info.objective,
        "rounds": info.n_rounds,
        "best metric": f"validation {info.metric} {best.value:.6g}" if best else "not validated",
        "stopped": str(info.stop_reason),
        **_schema(info.schema),
        **info.config,
    }


def _schema(schema: TableSchema) -> dict[str, Any]:
    target = schema.target
    kinds = {}
    for feature in schema.features:
        kinds[feature.name] = str(feature.kind)
        if feature.kind is FeatureKind.CATEGORICAL:
            kinds[feature.name] += f", {len(feature.categories)} categories"
        elif feature.kind is FeatureKind.ARRAY:
            kinds[feature.name] += f" of {feature.width}"
    result: dict[str, Any] = {"target": f"{target.name} ({target.kind}, {target.spark_type})"}
    if target.classes:
        result["classes"] = list(target.classes)
    return {**result, "features": kinds}


def to_text(found: dict[str, Any]) -> str:
    """Lines for people; what is nested is indented."""
    lines: list[str] = []
    for key, value in found.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            width = max((len(str(name)) for name in value), default=0)
            lines += [f"  {name!s:<{width}}  {_flat(item)}" for name, item in value.items()]
        else:
            lines.append(f"{key}: {_flat(value)}")
    return "\n".join(lines)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
