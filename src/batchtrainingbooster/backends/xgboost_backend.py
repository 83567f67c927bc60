"""XGBoost behind the loop's port, and behind prediction.

One ``Booster`` lives through the run and grows in place, so the validation margins that it caches
cost one tree a round. Every batch is quantised with the cuts of one reference sample: thresholds
are then cuts of every batch, and predictions on quantised data are exact.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import xgboost as xgb

from batchtrainingbooster.backends.custom import CustomObjective, predictions
from batchtrainingbooster.backends.settings import (
    WHERE,
    BoosterSettings,
    Problem,
    link_name,
    names_or_numbers,
    no_rounds,
    refuse_other_num_class,
    trial_batch,
)
from batchtrainingbooster.backends.xgboost_data import (
    label_and_weight,
    parse_metrics,
    with_last_categories,
)
from batchtrainingbooster.backends.xgboost_external import on_disk, refuse_external
from batchtrainingbooster.backends.xgboost_parameters import (
    BYTES_PER_OUTPUT,
    CLASS_WEIGHT_KEYS,
    DEFAULT_LEARNING_RATE,
    METRICS,
    NAMES,
    base_score,
    link_of,
    native_objective,
    parse_settings,
    target_kind,
    with_defaults,
)
from batchtrainingbooster.backends.xgboost_predictor import Predictor, first_lines, translated
from batchtrainingbooster.core.ports import Batch, BatchSource, RoundMetrics
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.core.timing import timed
from batchtrainingbooster.errors import BackendError, ConfigError, did_you_mean

NAME = "xgboost"
NATIVE_FILE = "model.ubj"

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
        If XGBoost refuses a value, or does not use a key.
    """

    def __init__(self, settings: BoosterSettings, problem: Problem) -> None:
        self._settings = settings
        self._problem = problem
        if problem.external_memory:
            refuse_external(settings, problem)
        self._params = self._native_params()
        self._check_params()
        self._booster: xgb.Booster | None = None
        if problem.initial_model is not None:
            self._booster = xgb.Booster(self._params, model_file=bytearray(problem.initial_model))
        self._reference: xgb.QuantileDMatrix | None = None
        self._validation: xgb.DMatrix | None = None
        self._last_dataset: xgb.DMatrix | None = None

    @property
    def n_rounds(self) -> int:
        """Rounds in the model so far."""
        return 0 if self._booster is None else int(self._booster.num_boosted_rounds())

    def start(self, reference: Batch, validation: Batch | None) -> None:
        """Fix the quantile cuts, and take the validation rows."""
        with translated("while preparing the data"):
            if self._quantised:
                reference = with_last_categories(reference, self._problem.cardinalities)
                self._reference = xgb.QuantileDMatrix(
                    reference.features,
                    weight=reference.weight,
                    max_bin=self._params.get("max_bin"),
                    **self._columns,
                )
            if validation is not None:
                self._validation = self.dataset(validation)

    def validate(self) -> dict[str, float]:
        """Metrics of the model so far on the validation set; none without a model."""
        if self._booster is None:
            return {}
        with translated("while validating"):
            return self._evaluate(self._booster, [(self._validation, "valid")], 0).valid

    def dataset(self, batch: Batch) -> xgb.DMatrix:
        """The batch, quantised with the common cuts."""
        fields = {
            "label": batch.label,
            "weight": batch.weight,
            "group": batch.group,
            **self._columns,
        }
        with translated("while loading a batch"):
            if not self._quantised:
                return xgb.DMatrix(batch.features, **fields)
            return xgb.QuantileDMatrix(
                batch.features,
                ref=self._reference,
                max_bin=self._params.get("max_bin"),
                **fields,
            )

    def external_dataset(self, source: BatchSource) -> AbstractContextManager[xgb.DMatrix]:
        """All batches, quantised with the common cuts, on disk for as long as the block lasts."""
        return on_disk(source, self._reference, self._columns, self._params.get("max_bin"))

    def boost(
        self,
        dataset: xgb.DMatrix,
        learning_rates: Sequence[float],
        after_round: Callable[[RoundMetrics], bool],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Train one round for each learning rate, and evaluate it."""
        evaluated = [(dataset, "train")]
        if self._validation is not None:
            evaluated.append((self._validation, "valid"))
        with translated("while training"):
            if self._booster is None:
                self._booster = xgb.Booster(self._params, cache=[d for d, _ in evaluated])
            with timed("scoring of the trees so far"):
                # XGBoost keeps the margins; the first round would compute them otherwise.
                self._booster.predict(dataset, output_margin=True)
            rate = None
            for wanted in learning_rates:
                if wanted != rate:
                    self._booster.set_param({"learning_rate": wanted})
                    rate = wanted
                # The number seeds the sampling of the round (seed_per_iteration).
                round_number = self.n_rounds
                self._update(self._booster, dataset, round_number)
                # Ranking objectives remember the queries of a dataset by its address, so the next
                # one must not be made where this one was.
                if self._problem.kind is TargetKind.RANKING:
                    self._last_dataset = dataset
                with timed("evaluation"):
                    metrics = self._evaluate(self._booster, evaluated, round_number)
                if not after_round(metrics):
                    break
            self._renew_updaters(self._booster)

    def _update(self, booster: xgb.Booster, dataset: xgb.DMatrix, round_number: int) -> None:
        objective = self._settings.objective
        if not isinstance(objective, CustomObjective):
            booster.update(dataset, round_number)
            return
        margins = booster.predict(dataset, output_margin=True, training=True)
        label, weight = label_and_weight(dataset)
        gradient, hessian = objective.derivatives(label, margins, weight)
        booster.boost(dataset, round_number, grad=gradient, hess=hessian)

    def _evaluate(
        self, booster: xgb.Booster, evaluated: list[tuple[xgb.DMatrix, str]], round_number: int
    ) -> RoundMetrics:
        metrics = RoundMetrics({}, {})
        if self._settings.own_metrics:
            metrics = parse_metrics(booster.eval_set(evaluated, round_number))
        if self._settings.custom_metrics:
            link = link_name(self._settings, self._problem.kind, link_of)
            for data, part in evaluated:
                predicted = predictions(booster.predict(data, output_margin=True), link)
                label, weight = label_and_weight(data)
                for metric in self._settings.custom_metrics:
                    getattr(metrics, part)[metric.name] = metric.value(label, predicted, weight)
        in_order = self._settings.in_order
        return RoundMetrics(in_order(metrics.train), in_order(metrics.valid))

    def truncate(self, n_rounds: int) -> None:
        """Drop the rounds after the first ``n_rounds``."""
        if self._booster is None or n_rounds == self.n_rounds:
            return
        with translated("while cutting the model"):
            if n_rounds == 0:
                self._booster = None
            else:
                self._booster = self._booster[:n_rounds]

    def to_bytes(self) -> bytes:
        """The model so far in XGBoost's UBJSON format.

        Raises
        ------
        BackendError
            If no round was ever kept.
        """
        if self._booster is None:
            raise no_rounds()
        return bytes(self._booster.save_raw("ubj"))

    def checkpoint(self, least_rounds: int) -> dict[str, bytes]:
        """The model so far."""
        return {} if self._booster is None else {NATIVE_FILE: self.to_bytes()}

    def restore(self, files: Mapping[str, bytes]) -> None:
        """Hold the model of a checkpoint."""
        self._booster = None
        if files:
            with translated("while loading a checkpoint"):
                model = bytearray(files[NATIVE_FILE])
                self._booster = xgb.Booster(self._params, model_file=model)

    def _renew_updaters(self, booster: xgb.Booster) -> None:
        """Forget what the tree updaters have drawn, and what they hold of the batch.

        An updater draws the seed of its column sampler once, in its first round. A model that was
        cut or loaded has new updaters, and would sample otherwise than one that went straight on.
        Only a change of ``tree_method`` makes new ones; cached margins stay.
        """
        own = self._params.get("tree_method", "auto")
        for method in ("approx" if own != "approx" else "hist", own):
            booster.set_param({"tree_method": method})
            booster.save_config()  # applies it

    @property
    def _quantised(self) -> bool:
        # The thresholds of an earlier model are no cuts of the new data, and would be applied
        # wrongly to quantised rows; `exact` and `approx` have no common cuts to begin with.
        hist = self._params.get("tree_method", "hist") in ("hist", "auto")
        return hist and self._problem.initial_model is None

    @property
    def _columns(self) -> dict[str, Any]:
        return {
            "feature_names": native_names(self._problem.column_names),
            "feature_types": ["c" if n else "float" for n in self._problem.cardinalities],
            "enable_categorical": True,
            "nthread": self._params.get("n_jobs"),
        }

    def _native_params(self) -> dict[str, Any]:
        settings, problem = self._settings, self._problem
        params = {
            "seed": problem.seed,
            # Rounds then draw the same samples however the run came to them.
            "seed_per_iteration": True,
            "verbosity": 1,
            "base_score": base_score(settings, problem),
            **settings.params,
            "objective": native_objective(settings, problem.kind),
            "eval_metric": settings.own_metrics,
            "disable_default_eval_metric": True,
        }
        if params["objective"].startswith("multi:"):
            params["num_class"] = len(problem.class_shares)
        refuse_other_num_class(settings, problem)
        if problem.initial_model is not None:
            del params["base_score"]  # the earlier model's stays
        return params

    def _check_params(self) -> None:
        """One round on some rows: XGBoost says what it refuses, or does not use."""
        batch = trial_batch(self._problem)
        data = xgb.DMatrix(batch.features, label=batch.label, group=batch.group, **self._columns)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                booster = xgb.Booster({**self._params, "verbosity": 1}, cache=[data])
                self._update(booster, data, 0)
                self._evaluate(booster, [(data, "train")], 0)
            except (xgb.core.XGBoostError, ValueError, TypeError) as error:
                msg = f"{WHERE}: XGBoost refuses it: {first_lines(error)}"
                raise ConfigError(msg) from error
            except BackendError as error:
                msg = f"{WHERE}: tried on {len(batch.label)} rows: {error}"
                raise ConfigError(msg) from error.__cause__
        text = "".join(str(warning.message) for warning in caught)
        unused = re.search(r"Parameters: \{(.*?)\} are not used", text)
        if unused:
            names = re.findall(r'"([^"]+)"', unused.group(1))
            raise ConfigError.of(
                WHERE,
                [
                    f"{name}: unknown key, or without effect here{did_you_mean(name, NAMES)}"
                    for name in names
                ],
            )


def native_names(names: Sequence[str]) -> list[str]:
    """Column names for the native file: the user's own, or ``f0, f1, ...`` where XGBoost cannot.

    XGBoost refuses names with ``[``, ``]`` or ``<``, and repeated ones.
    """
    return names_or_numbers(names, lambda name: not set(name).isdisjoint("[]<"))


def version() -> str:
    """Of the installed library."""
    return str(xgb.__version__)
