"""Which columns give the target away, on plain arrays."""

import time

import numpy as np
import pytest

from batchtrainingbooster.core.leaks import copies_of_label, warn_of_copies
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind

N = 1_000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def matrix(*columns):
    return np.asfortranarray(np.stack(columns, axis=1).astype(np.float32))


def test_classes_are_copied_by_any_values_that_tell_them_apart(rng):
    label = rng.integers(0, 3, N).astype(np.float32)
    as_codes = np.array([2, 0, 1])[label.astype(int)]
    as_numbers = np.array([-1.5, 1e30, 0.0])[label.astype(int)]
    noise = rng.standard_normal(N)
    merged = label == 1  # two classes have one value
    split = np.where(label == 0, noise, label + 10)  # a class has several
    features = matrix(noise, as_codes, merged, as_numbers, split, label)
    assert copies_of_label(features, label, has_classes=True) == [1, 3, 5]


def test_one_row_or_one_missing_value_that_differs_is_enough(rng):
    label = rng.integers(0, 2, N).astype(np.float32)
    for row in (3, N - 1):
        other, missing = label.copy(), label.copy()
        other[row], missing[row] = 1 - other[row], np.nan
        features = matrix(other, missing, label)
        assert copies_of_label(features, label, has_classes=True) == [2]
        assert copies_of_label(features, label, has_classes=False) == [2]


def test_missing_values_of_a_whole_class_are_no_value():
    label = np.arange(N, dtype=np.float32) % 2
    features = matrix(np.where(label == 0, np.nan, 1.0))
    assert copies_of_label(features, label, has_classes=True) == []


def test_a_number_is_copied_by_itself_alone(rng):
    label = rng.standard_normal(N).astype(np.float32)
    features = matrix(2 * label, label, -label, rng.standard_normal(N))
    assert copies_of_label(features, label, has_classes=False) == [1]


def test_constants_and_few_rows_say_nothing(rng):
    constant = np.full(N, 7, np.float32)
    for has_classes in (True, False):
        assert copies_of_label(matrix(constant), constant, has_classes=has_classes) == []
    # Any column of distinct values tells ten rows of ten classes apart.
    label = np.arange(10, dtype=np.float32)
    assert copies_of_label(matrix(rng.standard_normal(10)), label, has_classes=True) == []
    label = np.repeat(label, 3)
    assert copies_of_label(matrix(-label), label, has_classes=True) == [0]


def test_a_class_that_the_first_rows_lack_is_looked_at():
    label = (np.arange(N) > 900).astype(np.float32)
    features = matrix(np.zeros(N), label, np.arange(N) > 950)
    assert copies_of_label(features, label, has_classes=True) == [1]


def test_wide_and_long_samples_take_a_moment(rng):
    label = rng.integers(0, 2, 100_000).astype(np.float32)
    features = np.asfortranarray(rng.standard_normal((100_000, 200), np.float32))
    features[:, 77] = label
    start = time.perf_counter()
    assert copies_of_label(features, label, has_classes=True) == [77]
    assert time.perf_counter() - start < 1


def test_warning_names_column_target_and_rows(caplog):
    label = np.arange(40, dtype=np.float32) % 2
    features = matrix(np.arange(40), np.arange(40) / 3, 1 - label)
    schema = TableSchema(
        (Feature("v", FeatureKind.ARRAY, width=2), Feature("leak.1", FeatureKind.NUMERIC)),
        Target("y", TargetKind.BINARY, "string", ("a", "b")),
    )
    warn_of_copies(features, label, schema)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "Feature 'leak.1' says what target 'y' is in each of 40 rows" in record.getMessage()
    caplog.clear()
    warn_of_copies(features[:, :2], label, TableSchema(schema.features[:1], schema.target))
    assert caplog.text == ""
