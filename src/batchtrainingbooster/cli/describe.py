"""What ``inspect`` says of a folder; it needs neither Spark nor Java."""

from __future__ import annotations

from typing import Any

from batchtrainingbooster.core.table import FeatureKind, TableSchema
from batchtrainingbooster.data import manifest as staged
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.errors import ConfigError
from batchtrainingbooster.model import persistence


def describe(path: str) -> dict[str, Any]:
    """A saved model or a staged folder.

    Raises
    ------
    ConfigError
        If it is neither.
    ModelFormatError, StagingError
        If it is damaged.
    """
    folder = Folder(path)
    if folder.size(staged.FILE) is not None:
        return _staged(staged.read_manifest(folder))
    if folder.size(persistence.METADATA) is not None:
        return _model(persistence.load_info(path))
    msg = (
        f"{path} is neither a staged folder (no {staged.FILE}) "
        f"nor a saved model (no {persistence.METADATA})"
    )
    raise ConfigError(msg)


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
