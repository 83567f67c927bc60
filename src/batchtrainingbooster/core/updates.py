"""How a trainer lets an earlier model learn from new rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.request import IfWorse, Request
from batchtrainingbooster.core.update_report import UpdateReport
from batchtrainingbooster.core.updating import (
    check_validation,
    is_empty,
    refuse_worse,
    update_request,
    without_rows,
)
from batchtrainingbooster.errors import NotFittedError
from batchtrainingbooster.model.boosted_model import BoostedModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)


class Updates:
    """What updates a model, for trainers."""

    backend: ClassVar[str]

    def __init__(self) -> None:
        self._model: BoostedModel | None = None
        self._update_report: UpdateReport | None = None

    @property
    def update_report(self) -> UpdateReport:
        """Before and after, new categories, drift."""
        if self._update_report is None:
            msg = (
                f"this {type(self).__name__} has not updated a model yet, or its last update has "
                "failed: call update first"
            )
            raise NotFittedError(msg)
        return self._update_report

    def update(
        self,
        model: BoostedModel | str | os.PathLike[str],
        new_dataframe: DataFrame,
        valid_dataframe: DataFrame | None = None,
        *,
        config_model: Mapping[str, Any] | None = None,
        config_training: Mapping[str, Any] | TrainingConfig | None = None,
        config_lr_scheduler: Mapping[str, Any] | Callable[[int], float] | None = None,
        if_worse: IfWorse = "raise",
    ) -> BoostedModel:
        """Let a model learn from new rows, and compare it with what it was.

        Target, features, objective, column of weights or queries, class weights and encoding are
        the model's; categories that it does not know get codes after its own. The rows may lack
        classes, and may not have others. What comes out is in ``update_report``, and logged.

        Parameters
        ----------
        model : BoostedModel or path
            It is not changed.
        new_dataframe : Spark DataFrame
            ``train_dataframe`` in messages. Without rows, the model is returned as it is.
        valid_dataframe : Spark DataFrame, optional
            What both are measured on; None holds out ``validation_fraction`` of the new rows.
        config_model, config_lr_scheduler
            As for ``fit``; those of the model are not taken over, nor is ``maximize``.
        config_training : dict
            As for ``fit``, without ``init_model``; ``num_batches`` is 1 unless it or
            ``memory_budget`` is given. Defaults of a ``TrainingConfig`` count as not given.
        if_worse : {"raise", "keep", "accept"}
            What to do if every round on the new rows gives a worse model: refuse, return the
            earlier one, or return the best that has learned from the new rows. ``"accept"`` needs
            no validation rows; all rounds are kept then.

        Returns
        -------
        BoostedModel
            The earlier one itself, where there was no gain.

        Raises
        ------
        WorseModelError
            If it is worse; ``update_report`` is there all the same.
        BatchTrainingError
            As for ``fit``.
        """
        # That of an earlier update says nothing of one that fails.
        self._update_report = None
        request = update_request(
            self.backend, model, config_model, config_training, config_lr_scheduler, if_worse
        )
        earlier = request.continued_model
        check_validation(request, valid_dataframe)
        if is_empty(new_dataframe):
            logger.warning("Update: no new rows; the model is returned as it is")
            self._model, self._update_report = earlier, without_rows(earlier)
            return earlier
        frames = new_dataframe, valid_dataframe
        updated = self._run(request, frames, earlier.info.schema.target.name)
        if if_worse == "raise":
            refuse_worse(self.update_report)
        return updated

    def _run(
        self, request: Request, frames: tuple[DataFrame, DataFrame | None], target_column: str
    ) -> BoostedModel:
        """The run."""
        raise NotImplementedError
