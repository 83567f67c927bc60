"""LightGBM behind the loop's port, and behind prediction.

Every visit is one ``lightgbm.train`` that continues the model so far: its raw scores on the batch
and on the validation rows are where the visit starts. Every dataset is binned as one reference
sample is. The model starts from the whole data's mean, not from the first batch's, where a rare
class may be missing: LightGBM would then give it a margin of -34, and never come back from there.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import lightgbm as lgb
import numpy as np

from batchtrainingbooster.backends.custom import CustomMetric, CustomObjective, predictions
from batchtrainingbooster.backends.lightgbm_parameters import (
    BYTES_PER_OUTPUT,
    CLASS_WEIGHT_KEYS,
    DEFAULT_LEARNING_RATE,
    METRICS,
    NAMES,
    base_scores,
    link_of,
    parse_settings,
    target_kind,
    with_defaults,
)
from batchtrainingbooster.backends.lightgbm_predictor import Predictor, loaded, native, translated
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
from batchtrainingbooster.core.ports import Batch, RoundMetrics
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import BackendError, ConfigError, did_you_mean

NAME = "lightgbm"
NATIVE_FILE = "model.txt"

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
        If LightGBM refuses a value, or does not know a key.
    """

    def __init__(self, settings: BoosterSettings, problem: Problem) -> None:
        self._settings = settings
        self._problem = problem
        self._params = self._native_params()
        self._check_params()
        self._booster: lgb.Booster | None = None
        if problem.initial_model is not None:
            self._booster = loaded(problem.initial_model)
        self._reference: lgb.Dataset | None = None
        self._validation_rows: Batch | None = None
        self._validation: lgb.Dataset | None = None

    @property
    def n_rounds(self) -> int:
        """Rounds in the model so far."""
        return 0 if self._booster is None else int(self._booster.current_iteration())

    def start(self, reference: Batch, validation: Batch | None) -> None:
        """Fix the bins, and take the validation rows."""
        with translated("while preparing the data"):
            self._reference = self._dataset(reference, None).construct()
            self._validation_rows = validation
            if validation is not None:
                self._validation = self._validation_dataset(validation)

    def validate(self) -> dict[str, float]:
        """Metrics of the model so far on the validation set; none without a model."""
        if self._booster is None or self._validation_rows is None:
            return {}
        rows = self._validation_rows
        with translated("while validating"):
            data = self._dataset(rows, self._reference)
            data.set_init_score(self._booster.predict(rows.features, raw_score=True))
            booster = lgb.Booster(_without_function(self._params), data)
            found = booster.eval_train(self._custom_evaluation())
            return self._metrics([("valid", *result[1:3]) for result in found]).valid

    def dataset(self, batch: Batch) -> lgb.Dataset:
        """The batch, which LightGBM bins once it knows the scores that it starts from."""
        return self._dataset(batch, self._reference)

    def boost(
        self,
        dataset: lgb.Dataset,
        learning_rates: Sequence[float],
        after_round: Callable[[RoundMetrics], bool],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Train one round for each learning rate, and evaluate it."""
        first = self.n_rounds
        evaluated = {"train": dataset}
        if self._validation is not None:
            evaluated["valid"] = self._validation

        def observe(env: lgb.callback.CallbackEnv) -> None:
            has_grown = env.model.current_iteration() > env.iteration
            results = env.evaluation_result_list
            go_on = has_grown and after_round(self._metrics([result[:3] for result in results]))
            if not go_on:
                raise lgb.EarlyStopException(env.iteration, results)

        with translated("while training"):
            if self._booster is None:
                for part in evaluated.values():
                    part.set_init_score(self._start_scores(part))
            booster = lgb.train(
                # Other samples in every visit, and the same ones however the run came to it.
                {**self._params, "seed": self._params["seed"] + first},
                dataset,
                num_boost_round=len(learning_rates),
                valid_sets=list(evaluated.values()),
                valid_names=list(evaluated),
                feval=self._custom_evaluation(),
                init_model=self._booster,
                callbacks=[lgb.reset_parameter(learning_rate=list(learning_rates)), observe],
            )
            if self._booster is None:
                self._add_base_scores(booster)
            self._booster = loaded(native(booster, -1))

    def truncate(self, n_rounds: int) -> None:
        """Drop the rounds after the first ``n_rounds``."""
        if self._booster is None or n_rounds == self.n_rounds:
            return
        with translated("while cutting the model"):
            if n_rounds > 0:
                self._booster = loaded(native(self._booster, n_rounds))
                return
            self._booster = None
            if self._validation_rows is not None:
                # The other one has the scores of the model that is gone.
                self._validation = self._validation_dataset(self._validation_rows)

    def to_bytes(self) -> bytes:
        """The model so far in LightGBM's text format.

        Raises
        ------
        BackendError
            If no round was ever kept.
        """
        if self._booster is None:
            raise no_rounds()
        return native(self._booster, -1)

    def checkpoint(self, least_rounds: int) -> dict[str, bytes]:
        """The model so far."""
        return {} if self._booster is None else {NATIVE_FILE: self.to_bytes()}

    def restore(self, files: Mapping[str, bytes]) -> None:
        """Hold the model of a checkpoint."""
        with translated("while loading a checkpoint"):
            self._booster = loaded(files[NATIVE_FILE]) if files else None

    def _dataset(
        self,
        batch: Batch,
        reference: lgb.Dataset | None,
        params: Mapping[str, Any] | None = None,
    ) -> lgb.Dataset:
        params = params or self._params
        categorical = [i for i, n in enumerate(self._problem.cardinalities) if n]
        return lgb.Dataset(
            batch.features,
            batch.label,
            reference=reference,
            weight=batch.weight,
            group=batch.group,
            feature_name=native_names(self._problem.column_names),
            categorical_feature=categorical,
            params=_without_function(params),
        )

    def _validation_dataset(self, rows: Batch) -> lgb.Dataset:
        data = self._dataset(rows, self._reference)
        data.free_raw_data = False  # scored anew at every visit
        return data.construct()

    def _start_scores(self, data: lgb.Dataset) -> np.ndarray:
        scores = np.tile(self._base, (len(data.get_label()), 1))
        return scores if scores.shape[1] > 1 else scores[:, 0]

    def _add_base_scores(self, booster: lgb.Booster) -> None:
        """Put what the first visit started from into its first trees, as LightGBM does."""
        trees = booster.dump_model(num_iteration=1)["tree_info"]
        for tree, base in zip(trees, self._base, strict=True):
            for leaf in range(tree["num_leaves"]):
                value = booster.get_leaf_output(tree["tree_index"], leaf)
                booster.set_leaf_output(tree["tree_index"], leaf, value + base)

    @property
    def _base(self) -> list[float]:
        return base_scores(self._settings, self._problem)

    def _metrics(self, results: Sequence[tuple[str, str, float]]) -> RoundMetrics:
        found: dict[str, dict[str, float]] = {"train": {}, "valid": {}}
        for part, name, value in results:
            found[part][name] = float(value)
        in_order = self._settings.in_order
        return RoundMetrics(in_order(found["train"]), in_order(found["valid"]))

    def _custom_evaluation(self) -> list[Callable[..., Any]] | None:
        """The user's metrics as LightGBM calls them."""
        is_custom = isinstance(self._settings.objective, CustomObjective)
        link = link_name(self._settings, self._problem.kind, link_of)

        def call(
            metric: CustomMetric, values: np.ndarray, data: lgb.Dataset
        ) -> tuple[str, float, bool]:
            # Of its own objectives LightGBM hands over predictions, of others margins.
            predicted = predictions(values, link) if is_custom else values
            value = metric.value(data.get_label(), predicted, data.get_weight())
            return metric.name, value, False

        return [partial(call, metric) for metric in self._settings.custom_metrics] or None

    def _native_params(self) -> dict[str, Any]:
        settings, problem = self._settings, self._problem
        params: dict[str, Any] = {
            "seed": problem.seed,
            "verbosity": -1,
            # The choice between the two layouts is else made by timing them.
            "deterministic": True,
            "force_row_wise": not settings.params.get("force_col_wise", False),
            # What cannot be split in the reference sample may be so in a batch.
            "feature_pre_filter": False,
            # LightGBM's own 0 lets a model that is sure of its first batch diverge on the second:
            # the hessians of the rows that it gets wrong are almost 0. XGBoost's default is 1.
            "lambda_l2": 1.0,
            **settings.params,
            "objective": settings.objective,
            "metric": settings.own_metrics or "None",
            "boost_from_average": False,
        }
        if isinstance(settings.objective, CustomObjective):
            derivatives = settings.objective.derivatives
            params["objective"] = lambda margins, data: derivatives(
                data.get_label(), margins, data.get_weight()
            )
        if problem.kind is TargetKind.MULTICLASS:
            params["num_class"] = len(problem.class_shares)
        refuse_other_num_class(settings, problem)
        return params

    def _check_params(self) -> None:
        """One round on some rows: LightGBM says what it refuses, or does not know."""
        batch = trial_batch(self._problem)
        said = io.StringIO()
        params = {**self._params, "verbosity": 0}
        try:
            # LightGBM prints its warnings.
            with contextlib.redirect_stdout(said):
                data = self._dataset(batch, None, params)
                booster = lgb.train(params, data, num_boost_round=1, keep_training_booster=True)
                booster.eval_train(self._custom_evaluation())
        except (lgb.basic.LightGBMError, ValueError, TypeError) as error:
            msg = f"{WHERE}: LightGBM refuses it: {error}"
            raise ConfigError(msg) from error
        except BackendError as error:
            msg = f"{WHERE}: tried on {len(batch.label)} rows: {error}"
            raise ConfigError(msg) from error.__cause__
        unknown = dict.fromkeys(re.findall(r"Unknown parameter: (\S+)", said.getvalue()))
        if unknown:
            problems = [f"{name}: unknown key{did_you_mean(name, NAMES)}" for name in unknown]
            raise ConfigError.of(WHERE, problems)


def _without_function(params: Mapping[str, Any]) -> dict[str, Any]:
    """As datasets and boosters take them: an objective of the user's own is no parameter."""
    return {**params, "objective": "none"} if callable(params["objective"]) else dict(params)


def native_names(names: Sequence[str]) -> list[str]:
    """Column names for the native file: the user's own, or ``f0, f1, ...`` where LightGBM cannot.

    LightGBM refuses names with characters of JSON, changes spaces, and refuses repeated ones.
    """
    return names_or_numbers(
        names, lambda name: bool(re.search(r'[\s"\[\]{}:,]', name)) or not name.isprintable()
    )


def version() -> str:
    """Of the installed library."""
    return str(lgb.__version__)
