"""Drift between a first training's rows and later ones, on arrays."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from batchtrainingbooster.core.data_summary import MAX_CODES, MAX_ROWS, of_numbers, summary_of
from batchtrainingbooster.core.drift import DataLook, column_drift, drift_of, stability_index
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.core.update_report import UpdateReport

RNG = np.random.default_rng(0)
VALUES = st.one_of(
    st.floats(-(2.0**100), 2.0**100, width=32), st.sampled_from([0.0, 1.0, math.nan, -3.5])
)
COLUMNS = arrays(np.float32, st.integers(0, 60), elements=VALUES)


def schema(colors=("blue", "red"), kind=TargetKind.BINARY, classes=("no", "yes")):
    return TableSchema(
        (
            Feature("x", FeatureKind.NUMERIC),
            Feature("color", FeatureKind.CATEGORICAL, tuple(colors)),
            Feature("v", FeatureKind.ARRAY, width=2),
        ),
        Target("y", kind, "string", classes),
    )


def table(n, seed=0, n_colors=2, shift=0.0):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n, 4)).astype(np.float32)
    features[:, 0] += shift
    features[:, 1] = rng.integers(0, n_colors, n)
    return np.asfortranarray(features)


def drift_between(old, new, old_schema=None, new_schema=None, strata=((60, 40), (60, 40))):
    labels = np.zeros(len(old), np.float32), np.zeros(len(new), np.float32)
    first = summary_of(old, labels[0], old_schema or schema(), strata[0])
    return drift_of(first, new, labels[1], new_schema or schema(), strata[1])


@given(COLUMNS)
def test_same_column_has_no_shift_in_any_order(column):
    summary = of_numbers(column)
    shuffled = np.random.default_rng(1).permutation(column)
    assert of_numbers(shuffled) == summary
    drift = column_drift("x", summary, shuffled, len(column))
    assert drift.psi == 0
    assert drift.median_shift in (None, 0)
    assert drift.shift == "none"
    assert drift.missing[0] == drift.missing[1]


@given(COLUMNS, COLUMNS)
def test_any_two_columns_can_be_compared(old, new):
    drift = column_drift("x", of_numbers(old), new, len(old))
    assert drift.psi >= 0
    assert math.isfinite(drift.psi)
    assert drift.by_chance > 0
    assert str(drift)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1))
def test_index_is_symmetric_and_free_of_order(pairs):
    then, now = zip(*pairs, strict=True)
    psi, chance = stability_index(then, now)
    again = stability_index(now[::-1], then[::-1])
    assert again == pytest.approx((psi, chance))
    assert psi >= 0


def test_summary_counts_every_row_once():
    column = np.array([1] * 70 + [2] * 20 + list(range(3, 13)) + [np.nan] * 5, np.float32)
    summary = of_numbers(column)
    assert summary.missing + sum(summary.counts) == len(column)
    # Nothing is below the smallest value or above the largest one.
    assert summary.counts[0] == summary.counts[-1] == 0
    assert summary.quartiles == (1, 1, 2)


@pytest.mark.parametrize("to", [1.0, 3.0])
def test_constant_column_that_changes_has_a_large_shift(to):
    drift = column_drift("x", of_numbers(np.full(500, 2, np.float32)), np.full(500, to), 500)
    assert drift.shift == "large"
    assert drift.median_shift is None  # no interquartile range to measure it in


def test_column_that_loses_its_values_has_a_large_shift():
    old = RNG.standard_normal(500).astype(np.float32)
    drift = column_drift("x", of_numbers(old), np.full(500, np.nan), 500)
    assert drift.shift == "large"
    assert drift.missing == (0, 1)
    nothing = of_numbers(np.full(500, np.nan, np.float32))
    assert column_drift("x", nothing, np.full(500, np.nan), 500).shift == "none"
    assert column_drift("x", nothing, old, 500).shift == "large"


def test_no_rows_have_no_shift():
    column = of_numbers(RNG.standard_normal(500).astype(np.float32))
    assert column_drift("x", column, np.zeros(0, np.float32), 500).shift == "none"


def test_few_rows_of_the_same_distribution_are_no_shift():
    """Among forty rows, the index is over 0.25 as a rule, by chance alone."""
    shifts, indices = [], []
    for seed in range(200):
        drift = drift_between(table(2_000, seed), table(40, seed + 1_000))
        indices.append(drift.columns[0].psi)
        shifts += [column.shift for column in drift.columns]
    assert np.median(indices) > 0.25
    assert np.mean([shift != "none" for shift in shifts]) < 0.01


def test_shift_is_found_worst_first_and_others_are_counted():
    drift = drift_between(table(5_000, 1), table(5_000, 2, shift=1.0))
    assert [column.name for column in drift.moved] == ["x"]
    moved = drift.columns[0]
    assert moved.shift == drift.shift == "large"
    assert moved.median_shift == pytest.approx(1 / 1.35, abs=0.1)
    *_, last = drift.lines()
    assert last[1] == ("3 of 4 features did not move (100 rows in the first training, 100 now)")


def test_categories_that_the_first_training_had_not():
    new = table(1_000, 2)
    new[:250, 1] = 2
    drift = drift_between(table(1_000, 1), new, new_schema=schema(("blue", "red", "amber")))
    color = next(column for column in drift.columns if column.name == "color")
    assert color.known_rows == 0.75
    assert color.categories_seen == 1
    assert color.shift == "large"
    assert "25.0% of values are new categories" in str(color)


def test_categories_beyond_the_most_frequent_count_together():
    many = [f"c{i}" for i in range(3 * MAX_CODES)]
    old, new = (table(5_000, seed, n_colors=len(many)) for seed in (1, 2))
    drift = drift_between(old, new, schema(many), schema(many))
    assert drift.moved == ()


@pytest.mark.parametrize("n_categories", [300, 500, 1_000])
def test_many_rare_categories_are_no_shift(n_categories):
    """Those most frequent in a sample are so by chance, and rarer in any other."""
    many = schema([f"c{i}" for i in range(n_categories)])
    for seed in range(10):
        old, new = (table(1_000, 2 * seed + i, n_colors=n_categories) for i in (0, 1))
        assert drift_between(old, new, many, many).moved == ()


def test_equal_rows_that_come_together_are_no_shift():
    """As in a batch, which is sorted by hash."""
    old, new = (np.zeros((n, 4), np.float32) for n in (3 * MAX_ROWS, MAX_ROWS // 2))
    for rows in (old, new):
        rows[:, 1] = rows[:, 0] = np.sort(np.arange(len(rows)) % 2)
    own = schema(kind=TargetKind.REGRESSION, classes=())
    drift = drift_of(summary_of(old, old[:, 0], own, (1,)), new, new[:, 0], own, (1,))
    assert drift.moved == ()
    assert drift.target.shift == "none"
    assert drift.columns[0].psi < 0.001


def test_balance_of_classes():
    drift = drift_between(table(100), table(100), strata=((60, 40), (10, 90)))
    assert drift.rows == (100, 100)
    assert drift.classes == {"no": (0.6, 0.1), "yes": (0.4, 0.9)}
    assert drift.target.shift == "large"
    shift, line = next(drift.lines())
    assert shift == "large"
    assert "'no' 60.0% -> 10.0%, 'yes' 40.0% -> 90.0%" in line


def test_class_that_is_missing_now():
    drift = drift_between(table(100), table(100), strata=((60, 40), (50, 0)))
    assert drift.classes["yes"] == (0.4, 0)


def test_target_that_is_a_number():
    own = schema(kind=TargetKind.REGRESSION, classes=())
    first = summary_of(table(800), RNG.standard_normal(800), own, (400, 400))
    same = drift_of(first, table(800), RNG.standard_normal(800), own, (800,))
    assert (same.target.shift, same.classes) == ("none", {})
    moved = drift_of(first, table(800), RNG.standard_normal(800) + 2, own, (800,))
    assert moved.target.shift == "large"


def test_no_more_rows_are_looked_at_than_are_needed():
    features = np.zeros((MAX_ROWS + 10, 4), np.float32)
    features[MAX_ROWS:, 0] = 7
    first = summary_of(features, np.zeros(len(features)), schema(), (1, 1))
    assert first.sampled == MAX_ROWS == sum(first.columns["x"].counts)
    assert drift_of(first, features, np.zeros(len(features)), schema(), (1, 1)).columns[0].psi == 0


def test_summary_survives_json():
    first = summary_of(table(100), np.zeros(100), schema(), (60, 40))
    assert converter.structure(converter.unstructure(first), type(first)) == first


def test_first_look_is_kept_by_all_later_ones():
    rows = Batch(table(300), np.zeros(300, np.float32))
    first = DataLook(schema(), (150, 150))
    first.take(rows)
    assert first.drift is None
    later = DataLook(schema(), (300, 0), first.summary)
    later.take(rows)
    assert later.summary is first.summary
    assert later.drift.columns[0].psi == 0
    assert later.drift.target.shift == "large"


@pytest.mark.parametrize(
    ("before", "after", "maximize", "is_worse"),
    [
        (0.5, 0.4, False, False),
        (0.5, 0.6, False, True),
        (0.5, 0.5, False, False),
        (0.5, 0.6, True, False),
        (0.5, 0.4, True, True),
        (0.5, math.nan, False, True),
        (None, 0.5, False, False),
        (None, math.nan, False, True),
        (0.5, None, False, False),
    ],
)
def test_worse_is_meant_in_the_direction_of_the_metric(before, after, maximize, is_worse):
    report = UpdateReport(
        rows=1, metric="m", maximize=maximize, before=before, after=after, rounds_before=5,
        rounds_after=5, new_categories={"c": tuple("abcdefg")}, drift=None,
    )  # fmt: skip
    assert report.is_worse is is_worse
    lines = [line for _, line in report.lines()]
    assert ("worse" in lines[0]) is is_worse
    assert lines[1] == "New categories of 'c': 7 ('a', 'b', 'c', 'd', 'e', ...)"
