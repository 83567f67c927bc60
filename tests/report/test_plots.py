"""Figures say what happened, whatever the names and the size of the run."""

import itertools
import math
import os
import pickle
import subprocess
import sys

import attrs
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from batchtrainingbooster.core.events import RunEnd, StagingEnd
from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.record import RunRecord
from batchtrainingbooster.core.stopping import Best, StopReason
from batchtrainingbooster.errors import NotFittedError
from batchtrainingbooster.model.boosted_model import BoostedModel
from batchtrainingbooster.report.drawing import drawn
from batchtrainingbooster.report.plots import (
    PLOTS,
    all_plots,
    class_balance,
    feature_importance,
    learning_curve,
    learning_curve_of,
    learning_rate,
    time_by_stage,
)


def rows(visits=3, rounds=2, batches=3, *, valid=True, dropped=(), rate=lambda n: 0.1 / (n + 1)):
    return [
        Row(
            visit, visit % batches, visit // batches, rounds * visit + i, rounds * visit + i + 1,
            rate(visit), {"auc": 0.5, "loss": 0.7 - 0.1 * i},
            {"auc": 0.5, "loss": 0.8 / (rounds * visit + i + 1)} if valid else {}, 0.1,
            visit not in dropped,
        )
        for visit in range(visits)
        for i in range(rounds)
    ]  # fmt: skip


def data(batches, strata=("no", "yes"), validation=None, kind="binary", **changes):
    fields = {
        "objective": "o", "metric": "loss", "maximize": False, "features": {}, "column_types": {},
        "classes": (), "class_weights": (), "seconds": 1.0, "place": "p",
    }  # fmt: skip
    return StagingEnd(
        **{**fields, **changes}, kind=kind, strata=tuple(strata),
        batches=tuple(map(tuple, batches)), validation=validation,
    )  # fmt: skip


def end(seconds, stages):
    return RunEnd(
        stop_reason=StopReason.COMPLETED, visits=1, n_rounds=1, best=None, seconds=seconds,
        seconds_by_stage=stages,
    )  # fmt: skip


def boundaries(axes):
    return [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]


def texts(figure, monkeypatch):
    """Every text that is drawn, and where, in pixels."""
    drawn_texts, draw = {}, Text.draw

    def noted(text, renderer):
        if text.get_visible() and text.get_text().strip():
            drawn_texts[id(text)] = text
        draw(text, renderer)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", noted)
        figure.draw_without_rendering()
    return [(text.get_text(), text.get_window_extent()) for text in drawn_texts.values()]


def overlapping(found):
    return [
        (a, b)
        for (a, one), (b, other) in itertools.combinations(found, 2)
        # A pixel is what rounding may take.
        if Bbox.intersection(one.padded(-1), other.padded(-1)) is not None
    ]


def test_curve_has_a_line_at_each_batch_boundary():
    upper, lower = learning_curve(History(tuple(rows())), "loss", None).axes
    for axes in (upper, lower):
        assert boundaries(axes) == [2.5, 4.5]
    assert upper.get_ylabel() == "loss"
    assert lower.get_ylabel() == "learning rate"
    assert lower.get_xlabel() == "round"
    assert [text.get_text() for text in upper.texts] == ["batch 1", "batch 2", "batch 3"]
    assert "batch boundaries" in upper.get_title(loc="left")


def test_curve_has_the_values_of_both_sets():
    upper, _ = learning_curve(History(tuple(rows())), "loss", None).axes
    shown = {line.get_label(): line for line in upper.lines if line.get_linestyle() == "-"}
    assert list(shown["train (batch)"].get_ydata()) == pytest.approx([0.7, 0.6] * 3)
    values = list(shown["validation"].get_ydata())
    assert values == pytest.approx([0.8 / n for n in range(1, 7)])
    assert list(shown["validation"].get_xdata()) == [1, 2, 3, 4, 5, 6]


def test_curve_is_drawn_without_validation():
    upper, _ = learning_curve(History(tuple(rows(valid=False))), "loss", None).axes
    assert upper.get_legend_handles_labels()[1] == ["train (batch)"]


def test_curve_shades_the_rounds_that_were_dropped_each_stretch_once():
    made = rows(visits=6, dropped=(1, 2, 4))
    upper, _ = learning_curve(History(tuple(made)), "loss", None).axes
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in upper.patches]
    assert spans == [(2.5, 6.5), (8.5, 10.5)]
    assert upper.get_legend_handles_labels()[1].count("dropped rounds") == 1


def test_curve_marks_the_best_round():
    best = Best(0.125, 2, 5, 6)
    upper, _ = learning_curve(History(tuple(rows())), "loss", best).axes
    (mark,) = [line for line in upper.lines if line.get_label() == "best: 0.125 at round 6"]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([6], [0.125])


@pytest.mark.parametrize("best", [None, Best(0.1, None, None, 7)])
def test_curve_marks_nothing_where_no_round_is_best(best):
    upper, _ = learning_curve(History(tuple(rows())), "loss", best).axes
    assert not any("best" in label for label in upper.get_legend_handles_labels()[1])


def test_curve_of_many_visits_has_the_boundaries_of_epochs():
    made = rows(visits=400, batches=100)
    upper, _ = learning_curve(History(tuple(made)), "loss", None).axes
    assert boundaries(upper) == [200.5, 400.5, 600.5]
    assert "boundaries of epochs" in upper.get_title(loc="left")
    assert list(upper.texts) == []


def test_curve_of_many_rounds_is_thinned_and_keeps_its_ends():
    made = rows(visits=10, rounds=1_001)
    upper, _ = learning_curve(History(tuple(made)), "loss", None).axes
    (line,) = [line for line in upper.lines if line.get_label() == "validation"]
    assert 3_000 < len(line.get_xdata()) <= 4_001
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (1, 10_010)


def test_curve_of_a_record_shows_the_metric_that_decides():
    record = RunRecord(rows=rows())
    assert learning_curve_of(record).axes[0].get_ylabel() == "loss"
    record.data = data([[1, 1]], metric="auc")
    assert learning_curve_of(record).axes[0].get_ylabel() == "auc"
    # As the booster prints it.
    record.data = data([[1, 1]], metric="auc@5")
    assert learning_curve_of(record).axes[0].get_ylabel() == "loss"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308])
def test_metric_that_no_axis_can_show_leaves_a_gap(value, tmp_path):
    made = rows()
    made[2] = attrs.evolve(made[2], valid={"auc": 0.5, "loss": value})
    figure = learning_curve(History(tuple(made)), "loss", Best(value, 1, 2, 3))
    figure.savefig(tmp_path / "curve.png")
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "validation"]
    assert [math.isnan(y) for y in line.get_ydata()] == [False] * 2 + [True] + [False] * 3


def test_learning_rate_steps_at_each_visit():
    figure = learning_rate(RunRecord(rows=rows(dropped=(1,))))
    (axes,) = figure.axes
    (line,) = axes.lines
    assert list(line.get_xdata()) == [0.5, 1.5, 2.5, 3.5]
    assert list(line.get_ydata()) == pytest.approx([0.1, 0.05, 0.1 / 3, 0.1 / 3])
    assert [(patch.get_x(), patch.get_width()) for patch in axes.patches] == [(1.5, 1.0)]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("visit", "learning rate")
    assert axes.get_yscale() == "linear"


def test_learning_rate_of_a_schedule_by_round_is_drawn_within_the_visit():
    made = [attrs.evolve(row, learning_rate=1 / (row.round + 1)) for row in rows(visits=2)]
    (line,) = learning_rate(RunRecord(rows=made)).axes[0].lines
    assert list(line.get_xdata()) == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert list(line.get_ydata()) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 4])


def test_learning_rate_that_falls_far_is_logarithmic():
    made = rows(rate=lambda visit: 0.1**visit)
    assert learning_rate(RunRecord(rows=made)).axes[0].get_yscale() == "log"
    assert learning_curve(History(tuple(made)), "loss", None).axes[1].get_yscale() == "log"


def heights(axes):
    return [[bar.get_height() for bar in group] for group in axes.containers]


def test_class_balance_shows_the_share_of_each_class():
    record = RunRecord(data=data([[30, 10], [20, 20]], validation=(9, 1)))
    left, right = class_balance(record).axes
    assert heights(left) == [[75, 50], [25, 50]]
    assert [bar.get_y() for bar in left.containers[1]] == [75, 50]
    assert heights(right) == [[90], [10]]
    assert [text.get_text() for text in right.get_xticklabels()] == ["validation"]
    assert "12 percentage points" in left.get_title(loc="left")
    assert left.get_ylabel() == "share of rows (%)"


def legend(figure):
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def test_class_balance_of_many_classes_names_the_largest_and_adds_up_the_rest():
    sizes = [1] * 500
    sizes[7], sizes[400] = 100, 200
    figure = class_balance(RunRecord(data=data([sizes], map(str, range(500)))))
    (axes,) = figure.axes
    assert legend(figure) == ["493 others", "400", "7", "4", "3", "2", "1", "0"]
    assert sum(group[0] for group in heights(axes)) == pytest.approx(100)
    assert heights(axes)[-1][0] == pytest.approx(100 * 493 / sum(sizes))


def test_class_balance_of_one_class_too_many_for_the_colours_still_names_it():
    figure = class_balance(RunRecord(data=data([[2] * 7 + [1]], "abcdefgh")))
    assert legend(figure) == list("hgfedcba")


def test_class_balance_names_classes_of_odd_names():
    figure = class_balance(RunRecord(data=data([[1, 1, 1]], ["_a", "", "$b$"])))
    assert legend(figure) == [r"\$b\$", "''", " _a"]


def test_class_balance_of_a_regression_has_all_bins_in_order():
    names = [f"bin {number}" for number in range(10)]
    figure = class_balance(RunRecord(data=data([range(1, 11)], names, kind="regression")))
    assert legend(figure) == names[::-1]
    assert figure.legends[0].get_title().get_text() == "bin of target"


def test_class_balance_of_a_ranking_shows_rows():
    figure = class_balance(RunRecord(data=data([[30], [20]], ("all rows",), kind="ranking")))
    (axes,) = figure.axes
    assert heights(axes) == [[30, 20]]
    assert axes.get_ylabel() == "rows"


def test_class_balance_of_an_empty_batch_is_drawn(tmp_path):
    figure = class_balance(RunRecord(data=data([[1, 1], [0, 0]])))
    figure.savefig(tmp_path / "balance.png")
    assert heights(figure.axes[0]) == [[50, 0], [50, 0]]


def widths(axes):
    return [bar.get_width() for bar in axes.containers[0]]


def test_time_by_stage_is_sorted_and_adds_up_to_the_whole():
    (axes,) = time_by_stage(RunRecord(end=end(10, {"reading": 1, "boosting": 7}))).axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["boosting", "reading", "all else"]
    assert widths(axes) == [7, 1, 2]
    assert [text.get_text() for text in axes.texts] == ["7 (70 %)", "1 (10 %)", "2 (20 %)"]
    assert axes.get_xlabel() == "time (seconds)"
    assert axes.yaxis_inverted()


@pytest.mark.parametrize(("seconds", "unit", "by"), [(299, "seconds", 1), (300, "minutes", 60),
                                                     (10_800, "hours", 3600)])  # fmt: skip
def test_time_has_a_unit_that_suits_it(seconds, unit, by):
    (axes,) = time_by_stage(RunRecord(end=end(seconds, {"boosting": seconds}))).axes
    assert axes.get_xlabel() == f"time ({unit})"
    assert widths(axes) == pytest.approx([seconds / by])


def test_importance_shows_the_first_twenty_columns_that_are_of_use():
    importance = {f"c{number}": float(number) for number in range(30)}
    (axes,) = feature_importance(RunRecord(importance=importance)).axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [f"c{number}" for number in range(29, 9, -1)]
    assert widths(axes) == [float(number) for number in range(29, 9, -1)]
    assert "20 of 30 columns" in axes.get_title(loc="left")


LONG = [f"a_rather_long_name_{'of_a_column_' * 9}{number}" for number in range(40)]
ODD = ["$a$_^", "$", "\\$x", "{$\\frac", "合格", "😀", "\ud800\n\x1b[2J", "é", " ", "a" * 300]


def whole_record(names, visits, rounds, batches):
    made = [
        attrs.evolve(row, train={names[0]: 0.5}, valid={names[0]: 0.6})
        for row in rows(visits, rounds, batches, dropped=(2,))
    ]
    sizes = [[10 + i % 3 for i in range(len(names))] for _ in range(batches)]
    return RunRecord(
        rows=made, best=Best(0.6, 0, 0, 1),
        data=data(sizes, names, tuple(sizes[0]), metric=names[0], kind="multiclass"),
        importance={name: 1.0 + number for number, name in enumerate(names)},
        end=end(7_000, {name: 1.0 + number for number, name in enumerate(names[:12])}),
    )  # fmt: skip


RUNS = {
    "long names": whole_record(LONG, 6, 20, 3),
    "odd names": whole_record(ODD, 3, 20, 3),
    "one round": whole_record(["a"], 1, 1, 1),
    "one batch": whole_record(["a", "b"], 5, 3, 1),
    "thirty visits": whole_record(["a", "b"], 30, 10, 30),
    "two hundred batches": whole_record([f"class {i}" for i in range(500)], 200, 5, 200),
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", ["png", "svg"])
def test_figures_are_drawn_for_any_run(run, kind, tmp_path):
    figures = all_plots(RUNS[run])
    assert list(figures) == list(PLOTS)
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.{kind}")
        assert (tmp_path / f"{name}.{kind}").stat().st_size > 5_000


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", PLOTS)
def test_no_text_lies_over_another_or_outside(run, name, monkeypatch):
    figure = PLOTS[name](RUNS[run])
    found = texts(figure, monkeypatch)
    assert len(found) > 3
    assert overlapping(found) == []
    width, height = figure.canvas.get_width_height()
    for text, box in found:
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("price_$_in_$", r"price_\$_in_\$"),
        ("\ud800\n\x1b", r"\ud800\n\x1b"),
        ("合格", r"\u5408\u683c"),
        ("é", "é"),
        ("a" * 36, "a" * 36),
        ("a" * 20 + "b" * 20, "a" * 18 + "…" + "b" * 17),
    ],
)
def test_names_are_drawn_short_and_of_characters_that_there_are(name, shown):
    assert drawn(name) == shown


def test_name_with_dollars_is_no_formula(tmp_path):
    figure = feature_importance(RunRecord(importance={"$x_1$": 1.0}))
    figure.savefig(tmp_path / "importance.svg", metadata={"Date": None})
    assert "<!-- $x_1$ -->" in (tmp_path / "importance.svg").read_text()


def test_what_is_not_known_is_left_out():
    assert all_plots(RunRecord()) == {}
    assert list(all_plots(RunRecord(rows=rows()))) == ["learning_curve", "learning_rate"]
    assert list(all_plots(RunRecord(data=data([[1, 1]])))) == ["class_balance"]
    # As of a run that has failed.
    assert all_plots(RunRecord(end=end(1.0, {}), importance={"a": 0.0})) == {}


def test_colours_of_classes_are_told_apart_by_the_colour_blind():
    figure = class_balance(RunRecord(data=data([[1] * 7], "abcdefg")))
    used = [to_hex(group[0].get_facecolor()).upper() for group in figure.axes[0].containers]
    assert len(set(used)) == 7
    okabe_ito = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
    assert set(used) == okabe_ito


@pytest.mark.parametrize("name", PLOTS)
def test_model_without_a_record_says_which_plot_has_nothing_to_show(name):
    model = BoostedModel.__new__(BoostedModel)
    model.record = RunRecord()
    with pytest.raises(NotFittedError, match=f"plot_{name}: nothing to draw"):
        getattr(model, f"plot_{name}")()
    assert model.plots() == {}


@pytest.mark.parametrize("name", PLOTS)
def test_model_draws_what_its_record_has(name):
    model = BoostedModel.__new__(BoostedModel)
    model.record = RUNS["one batch"]
    assert getattr(model, f"plot_{name}")().axes
    assert list(model.plots()) == list(PLOTS)


def test_figures_can_be_sent_elsewhere():
    figure = pickle.loads(pickle.dumps(learning_rate(RunRecord(rows=rows()))))  # noqa: S301
    assert figure.axes[0].get_xlabel() == "visit"


def test_figures_need_no_display(tmp_path):
    code = (
        "import sys\n"
        "from batchtrainingbooster.core.record import RunRecord\n"
        "from batchtrainingbooster.report.plots import all_plots\n"
        "all_plots(RunRecord(importance={'a': 1.0}))['feature_importance'].savefig(sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {name: os.environ[name] for name in os.environ if "DISPLAY" not in name}
    file = tmp_path / "importance.png"
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, env=environment)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_missing_matplotlib_is_named():
    code = (
        "import sys; sys.modules['matplotlib'] = None; sys.modules['matplotlib.figure'] = None\n"
        "from batchtrainingbooster.core.record import RunRecord\n"
        "from batchtrainingbooster.report.plots import all_plots\n"
        "all_plots(RunRecord(importance={'a': 1.0}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Plots needs matplotlib, which is not installed" in done.stderr
    assert "batchtrainingbooster[plots]" in done.stderr
