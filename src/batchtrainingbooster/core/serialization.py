"""Value objects to JSON and back: one converter for manifests and models."""

from __future__ import annotations

from typing import Any

import cattrs

from batchtrainingbooster.core.config import Label


def _structure_label(value: Any, _: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        msg = f"{value!r} is no label"
        raise TypeError(msg)
    return value


converter = cattrs.Converter(forbid_extra_keys=True)
converter.register_structure_hook_func(lambda kind: kind == Label, _structure_label)
converter.register_unstructure_hook_func(lambda kind: kind == Label, lambda value: value)
