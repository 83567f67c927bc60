"""Which module adapts which booster; a booster is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from batchtrainingbooster.errors import MissingDependencyError

BACKENDS = {
    "xgboost": "batchtrainingbooster.backends.xgboost_backend",
    "catboost": "batchtrainingbooster.backends.catboost_backend",
    "lightgbm": "batchtrainingbooster.backends.lightgbm_backend",
}

# Those that can train on more rows than memory holds, every tree on all of them.
EXTERNAL_MEMORY = ("xgboost",)

# Those that can train one model in several processes.
DISTRIBUTED = ("xgboost",)


def load_backend(name: str) -> ModuleType:
    """The module that adapts the booster called ``name``.

    Raises
    ------
    MissingDependencyError
        If the booster is not installed.
    """
    try:
        return import_module(BACKENDS[name])
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingDependencyError.of(name, name, f"The {name} backend") from error
