import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrainingbooster.core.grouping import HELD_OUT, assign_buckets
from batchtrainingbooster.errors import ConfigError

ROWS = (
    st.lists(st.one_of(st.just(0), st.integers(1, 9), st.integers(1, 500)), min_size=1, max_size=40)
    .filter(any)
    .map(np.array)
)
FRACTIONS = st.floats(0, 1, exclude_min=True, exclude_max=True)


@given(ROWS, st.integers(1, 50))
def test_batches_are_equal_to_within_the_largest_bucket(rows, num_batches):
    n_filled = np.count_nonzero(rows)
    if num_batches > n_filled:
        with pytest.raises(ConfigError, match=f"num_batches: got {num_batches}, .* {n_filled} "):
            assign_buckets(rows, num_batches)
        return
    place = assign_buckets(rows, num_batches)
    assert place.shape == rows.shape
    assert (place[rows == 0] == 0).all()
    assert set(place) == set(range(num_batches))
    sizes = np.bincount(place, weights=rows)
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= rows.max()


@given(ROWS.filter(lambda rows: np.count_nonzero(rows) > 1), FRACTIONS)
def test_held_out_fraction_is_met_to_within_the_largest_bucket(rows, fraction):
    place = assign_buckets(rows, 1, fraction)
    assert (place[rows == 0] == 0).all()
    assert set(place[rows > 0]) == {HELD_OUT, 0}
    assert abs(rows[place == HELD_OUT].sum() - fraction * rows.sum()) <= rows.max()


@given(ROWS.filter(lambda rows: np.count_nonzero(rows) > 1), FRACTIONS, st.integers(2, 9))
def test_validation_does_not_depend_on_the_number_of_batches(rows, fraction, num_batches):
    held_out = assign_buckets(rows, 1, fraction) == HELD_OUT
    n_parts = np.count_nonzero(rows[~held_out])
    if num_batches > n_parts:
        with pytest.raises(ConfigError, match=f"num_batches: got {num_batches}, .* {n_parts} "):
            assign_buckets(rows, num_batches, fraction)
        return
    place = assign_buckets(rows, num_batches, fraction)
    np.testing.assert_array_equal(place == HELD_OUT, held_out)
    assert set(place[~held_out]) == set(range(num_batches))
    sizes = np.bincount(place[~held_out], weights=rows[~held_out])
    assert sizes.max() - sizes.min() <= rows[~held_out].max()


def test_assignment_by_hand():
    rows = np.array([4, 0, 9, 5, 7, 2])
    # 9 | 7, then 5 beside 7, 4 beside 9, 2 beside the 12.
    assert assign_buckets(rows, 2).tolist() == [0, 0, 0, 1, 1, 1]
    assert assign_buckets(np.array([3, 3, 3]), 3).tolist() == [0, 1, 2]
    # 4 of 27 rows are as near to a tenth as the first buckets can be.
    assert assign_buckets(rows, 2, 0.1).tolist() == [-1, 0, 0, 1, 1, 0]


@pytest.mark.parametrize("fraction", [1e-9, 1 - 1e-9])
def test_some_are_held_out_and_never_all(fraction):
    place = assign_buckets(np.array([0, 5, 1, 0, 8]), 1, fraction)
    assert {-1, 0} == set(place[[1, 2, 4]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([5, 0, 2], 3), "config_training: num_batches: got 3, but the queries make 2 parts"),
        (([5, 1, 2], 3, 0.2), "config_training: num_batches: got 3, but the queries make 2 parts"),
        (([0, 9], 1, 0.2), "config_training: validation_fraction: there is a single query"),
    ],
)
def test_assignments_that_cannot_be_are_refused(arguments, message):
    rows, *others = arguments
    with pytest.raises(ConfigError, match=f"^{message}"):
        assign_buckets(np.array(rows), *others)
