"""CatBoost behind the loop's port, and behind prediction.

Every visit is one ``fit`` that continues the model so far, or one for each learning rate in it.
What CatBoost would choose by the rows of a batch is fixed: learning rate, seed, borders, missing
values, one-hot size, steps in a leaf.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, repeat
from typing import Any

import catboost

from batchtrainingbooster.backends.catboost_callbacks import Observer
from batchtrainingbooster.backends.catboost_data import (
    borders_of,
    pool_of,
    temporary_file,
    with_all_classes,
    with_missing_values,
)
from batchtrainingbooster.backends.catboost_parameters import (
    BYTES_PER_OUTPUT,
    CLASS_WEIGHT_KEYS,
    DEFAULT_LEARNING_RATE,
    METRICS,
    NAMES,
    link_of,
    native_params,
    parse_settings,
    printed_name,
    target_kind,
    with_defaults,
)
from batchtrainingbooster.backends.catboost_predictor import (
    Predictor,
    drop_notes,
    first_trees,
    loaded,
    native,
    quiet,
    translated,
)
from batchtrainingbooster.backends.catboost_validation import Validation
from batchtrainingbooster.backends.settings import (
    WHERE,
    BoosterSettings,
    Problem,
    link_name,
    names_or_numbers,
    no_rounds,
    trial_batch,
)
from batchtrainingbooster.core.ports import Batch, RoundMetrics
from batchtrainingbooster.errors import BackendError, ConfigError, did_you_mean

logger = logging.getLogger(__name__)

NAME = "catboost"
NATIVE_FILE = "model.cbm"

__all__ = [
    "BYTES_PER_OUTPUT",
    "CLASS_WEIGHT_KEYS",
    "DEFAULT_LEARNING_RATE",
    "METRICS",
    "Backend",
    "Predictor",
    "link_of",
    "native_names",
    "parse_settings",
    "target_kind",
    "version",
    "with_defaults",
]

# What CatBoost says of batches with constant features, or without gradients.
_NOTHING_TO_LEARN = ("All features are either constant or ignored", "Too few sampling units")


class Backend:
    """The model so far, and how it grows.

    Parameters
    ----------
    settings : BoosterSettings
        With objective and metrics.
    problem : Problem

    Raises
    ------
    ConfigError
        If CatBoost refuses a value, or does not know a key.
    """

    def __init__(self, settings: BoosterSettings, problem: Problem) -> None:
        self._settings = settings
        self._problem = problem
        self._names = native_names(problem.column_names)
        self._params = native_params(settings, problem, self._link)
        self._check_params()
        self._model: catboost.CatBoost | None = None
        if problem.initial_model is not None:
            self._model = loaded(problem.initial_model)
        self._borders: bytes | None = None
        self._validation: Validation | None = None
        self._after_visits = [] if self._model is None else [self._model]
        self._uses_statistics = (
            max(problem.cardinalities, default=0) > self._params["one_hot_max_size"]
        )
        if self._uses_statistics:
            logger.warning(
                "Columns with more than %d categories: CatBoost describes these by statistics of "
                "the target in each batch alone; if validation suffers, set "
                "categorical_encoding='ordinal' in config_training",
                self._params["one_hot_max_size"],
            )

    @property
    def n_rounds(self) -> int:
        """Rounds in the model so far."""
        return 0 if self._model is None else int(self._model.tree_count_)

    def start(self, reference: Batch, validation: Batch | None) -> None:
        """Fix the borders, and take the validation rows."""
        with translated("while preparing the data"):
            if not all(self._problem.cardinalities):
                pool = self._pool(with_missing_values(reference))
                self._borders = borders_of(pool, self._params)
            if validation is not None:
                self._validation = Validation(
                    self._pool(validation), validation, self._settings.metrics, self._link
                )

    def validate(self) -> dict[str, float]:
        """Metrics of the model so far on the validation set; none without a model."""
        if self._model is None or self._validation is None:
            return {}
        with translated("while validating"):
            return self._validation.of_model(self._model)

    def dataset(self, batch: Batch) -> catboost.Pool:
        """The batch, with every class in it."""
        if self._problem.class_shares:
            batch = with_all_classes(batch, len(self._problem.class_shares))
        with translated("while loading a batch"):
            return self._pool(batch)

    def boost(
        self,
        dataset: catboost.Pool,
        learning_rates: Sequence[float],
        after_round: Callable[[RoundMetrics], bool],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Train one round for each learning rate, and evaluate it."""
        first = self.n_rounds
        observer, eval_set = Observer(self._own, after_round), None
        if self._uses_statistics:
            observer = Observer(self._own, lambda _: is_wanted())  # the loop is told afterwards
        elif self._validation is not None:
            eval_set = self._validation.pool
        for rate, rounds in groupby(learning_rates):
            options = {"learning_rate": rate, "iterations": len(list(rounds))}
            model = self._fit(dataset, eval_set, options, observer)
            if model is None:
                break
            self._model = model
            if not observer.goes_on:
                return
        if self._uses_statistics and observer.seen:
            self._after_visits.append(self._model)
            self._report(first, observer.seen, after_round)

    def _fit(
        self,
        dataset: catboost.Pool,
        eval_set: catboost.Pool | None,
        options: Mapping[str, Any],
        observer: Observer,
    ) -> catboost.CatBoost | None:
        """The model so far and more rounds at one rate; None where there is nothing to learn."""
        # Other samples in every visit, and the same ones however the run came to it.
        seed = self._params["random_seed"] + self.n_rounds
        params = {**self._params, **options, "random_seed": seed}
        try:
            with self._translated("while training"), temporary_file() as file:
                if self._borders is not None:
                    file.write_bytes(self._borders)
                    params["input_borders"] = str(file)
                model = catboost.CatBoost(params).fit(
                    dataset, eval_set=eval_set, init_model=self._model, callbacks=[observer]
                )
        except BackendError as error:
            if any(words in str(error) for words in _NOTHING_TO_LEARN):
                return None
            raise
        drop_notes(model)
        return model

    def _report(
        self,
        first: int,
        seen: Sequence[RoundMetrics],
        after_round: Callable[[RoundMetrics], bool],
    ) -> None:
        """Tell the loop of rounds that are over, with validation metrics of the model as it is.

        Where trees use statistics of categories, CatBoost keeps those of one batch alone when it
        puts models together, so what it printed in training is not what the model gives.
        """
        with translated("while validating"):
            valid: Iterable[dict[str, float]] = repeat({})
            if self._validation is not None:
                valid = self._validation.by_round(self._model, first)
            for metrics, own in zip(seen, valid, strict=False):
                if not after_round(RoundMetrics(metrics.train, own)):
                    return

    @contextmanager
    def _translated(self, when: str) -> Iterator[None]:
        """An error of the user's own function is raised as it was, not in CatBoost's words."""
        functions = (self._params["loss_function"], self._params["eval_metric"])
        try:
            with translated(when), quiet():
                yield
        except BackendError:
            for function in functions:
                error = getattr(function, "error", None)
                if error is not None:
                    raise error from error.__cause__
            raise

    def truncate(self, n_rounds: int) -> None:
        """Drop the rounds after the first ``n_rounds``."""
        if self._model is None or n_rounds == self.n_rounds:
            return
        with translated("while cutting the model"):
            if n_rounds == 0:
                self._model, self._after_visits = None, []
                return
            if self._uses_statistics:
                # Those of later visits have changed what the first trees give.
                earlier = [model for model in self._after_visits if model.tree_count_ < n_rounds]
                whole = loaded(native(self._after_visits[len(earlier)]))
                self._model = first_trees(whole, n_rounds)
                self._after_visits = [*earlier, self._model]
            else:
                self._model = first_trees(self._model, n_rounds)

    def to_bytes(self) -> bytes:
        """The model so far in CatBoost's binary format.

        Raises
        ------
        BackendError
            If no round was ever kept.
        """
        if self._model is None:
            raise no_rounds()
        return native(self._model)

    def checkpoint(self, least_rounds: int) -> dict[str, bytes]:
        """The model so far and, where trees use statistics, those that it may be cut from."""
        if self._model is None:
            return {}
        files = {NATIVE_FILE: native(self._model)}
        if self._uses_statistics:
            needed = [model for model in self._after_visits if model.tree_count_ >= least_rounds]
            self._after_visits = needed
            files |= {f"visit-{i:05}.cbm": native(model) for i, model in enumerate(needed[:-1])}
        return files

    def restore(self, files: Mapping[str, bytes]) -> None:
        """Hold the model of a checkpoint."""
        with translated("while loading a checkpoint"):
            earlier = [loaded(files[name]) for name in sorted(files) if name != NATIVE_FILE]
            self._model = loaded(files[NATIVE_FILE]) if files else None
        self._after_visits = [] if self._model is None else [*earlier, self._model]

    def _pool(self, batch: Batch) -> catboost.Pool:
        return pool_of(batch, self._names, self._problem.cardinalities)

    @property
    def _link(self) -> str:
        return link_name(self._settings, self._problem.kind, link_of)

    def _own(self, values: dict[str, float]) -> dict[str, float]:
        """The metrics that were asked for, in that order: CatBoost computes others beside them."""
        return {name: values[printed_name(name, values)] for name in self._settings.metric_names}

    def _check_params(self) -> None:
        """One round on some rows: CatBoost says what it refuses, or does not know."""
        batch = trial_batch(self._problem)
        params = {**self._params, "iterations": 1, "learning_rate": 0.1}
        try:
            with self._translated("on some rows"):
                model = catboost.CatBoost(params).fit(self._pool(batch))
            self._own(dict.fromkeys(model.get_evals_result()["learn"], 0.0))
        except KeyError as error:
            msg = f"{WHERE}: eval_metric: CatBoost does not compute {error.args[0]!r} here"
            raise ConfigError(msg) from error
        except (BackendError, ValueError, TypeError) as error:
            text = str(error).removeprefix("CatBoost failed on some rows: ")
            unknown = re.search(r"Unknown option \{(\w+)\}", text)
            if unknown:
                key = unknown.group(1)
                msg = f"{WHERE}: {key}: unknown key{did_you_mean(key, NAMES)}"
            else:
                msg = f"{WHERE}: CatBoost refuses it: {text}"
            raise ConfigError(msg) from error


def native_names(names: Sequence[str]) -> list[str]:
    """Column names for the native file: the user's own, or ``f0, f1, ...`` where some repeat."""
    return names_or_numbers(names, lambda _: False)


def version() -> str:
    """Of the installed library."""
    return str(catboost.__version__)
