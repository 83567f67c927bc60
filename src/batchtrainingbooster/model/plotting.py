"""The figures of a model's run, as methods of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.errors import NotFittedError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ModelPlots:
    """Each method draws from what is known of the run, ``record``.

    They raise MissingDependencyError if matplotlib is not installed, and NotFittedError if the
    record lacks what is to be drawn, as that of a model from an earlier version does.
    """

    record: RunRecord

    def plots(self) -> dict[str, Figure]:
        """All figures that there is something to draw for, by name."""
        from batchtrainingbooster.report.plots import all_plots

        return all_plots(self.record)

    def plot_learning_curve(self) -> Figure:
        """Metric by round with the batch boundaries, and the learning rate below."""
        return self._plot("learning_curve", "rounds")

    def plot_learning_rate(self) -> Figure:
        """Learning rate by visit."""
        return self._plot("learning_rate", "rounds")

    def plot_class_balance(self) -> Figure:
        """Share of each class, or bin of the target, in each batch and in the validation set."""
        return self._plot("class_balance", "rows by class and batch")

    def plot_time_by_stage(self) -> Figure:
        """Where the time of the run went."""
        return self._plot("time_by_stage", "time by stage")

    def plot_feature_importance(self) -> Figure:
        """The twenty most important features."""
        return self._plot("feature_importance", "feature of any importance")

    def _plot(self, name: str, needed: str) -> Figure:
        """One of them.

        Raises
        ------
        NotFittedError
            If there is nothing to draw.
        """
        from batchtrainingbooster.report.plots import PLOTS

        figure = PLOTS[name](self.record)
        if figure is None:
            msg = f"plot_{name}: nothing to draw, as the record of this model's run has no {needed}"
            raise NotFittedError(msg)
        return figure
