import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrainingbooster.core.batching import (
    MAX_NUM_BATCHES,
    OVERHEAD_BYTES,
    RowMemory,
    Stratum,
    deal,
    lay,
    num_batches_for,
    plan_strata,
)
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.visits import batch_order, visit_at
from batchtrainingbooster.errors import ConfigError

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=8).filter(lambda counts: sum(counts) > 0)


@given(COUNTS, st.integers(1, 12), st.one_of(st.none(), st.floats(0.05, 0.9)))
def test_every_class_and_the_whole_are_spread_to_within_one_row(counts, num_batches, fraction):
    try:
        strata = plan_strata(counts, num_batches, fraction)
    except ConfigError:
        held_out = [min(round(n * (fraction or 0)), max(0, n - 1)) for n in counts]
        assert num_batches > sum(counts) - sum(held_out) or (fraction and not sum(held_out))
        return
    table = np.array([s.batch_counts(num_batches) for s in strata])
    for row, s in zip(table, strata, strict=True):
        assert row.sum() == s.rows - s.held_out
        assert row.max() - row.min() <= 1
    sizes = table.sum(axis=0)
    assert sizes.max() - sizes.min() <= 1
    assert sizes.min() >= 1


@given(COUNTS, st.integers(1, 12), st.one_of(st.none(), st.floats(0.05, 0.9)))
def test_ranks_are_assigned_as_planned(counts, num_batches, fraction):
    try:
        strata = plan_strata(counts, num_batches, fraction)
    except ConfigError:
        return
    for s in strata:
        ranks = np.arange(s.rows)
        dealt = deal(ranks, s, num_batches) if s.rows else np.empty(0)
        laid, offset, size = lay(ranks, s, num_batches)
        for found in (dealt, laid):
            assert (found == -1).sum() == s.held_out
            assert [(found == b).sum() for b in range(num_batches)] == s.batch_counts(num_batches)
        for b in range(num_batches):
            own = laid == b
            assert offset[own].tolist() == list(range(own.sum()))
            assert set(size[own].tolist()) <= {own.sum()}


def test_plan_and_assignment_by_hand():
    strata = plan_strata([7, 0, 5], 3, 0.4)
    assert strata == [Stratum(7, 3, 0), Stratum(0, 0, 1), Stratum(5, 2, 1)]
    assert [s.batch_counts(3) for s in strata] == [[2, 1, 1], [0, 0, 0], [1, 1, 1]]
    assert deal(np.arange(7), strata[0], 3).tolist() == [0, 1, -1, 2, -1, 0, -1]
    assert deal(np.arange(5), strata[2], 3).tolist() == [1, 2, -1, 0, -1]
    assert lay(np.arange(7), strata[0], 3)[0].tolist() == [-1, -1, -1, 0, 0, 1, 2]
    assert lay(np.arange(5), strata[2], 3)[0].tolist() == [-1, -1, 1, 2, 0]


def test_assignment_of_a_row_does_not_depend_on_those_beside_it():
    (stratum,) = plan_strata([50], 4, 0.3)
    whole = deal(np.arange(50), stratum, 4)
    assert [int(deal(np.array([rank]), stratum, 4)[0]) for rank in range(50)] == whole.tolist()


def test_held_out_rows_are_spaced_evenly():
    (stratum,) = plan_strata([100], 2, 0.25)
    found = np.flatnonzero(deal(np.arange(100), stratum, 2) == -1)
    assert set(np.diff(found)) == {4}


def test_no_class_is_held_out_whole():
    assert [s.held_out for s in plan_strata([1, 2, 100], 1, 0.9)] == [0, 1, 90]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3, 2], 6), "num_batches: got 6, but there are 5 rows"),
        (([3, 2], 1, 0.01), "validation_fraction: 0.01 of 5 rows is less than one row"),
    ],
)
def test_plans_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        plan_strata(*arguments)


@given(
    budget=st.integers(10**4, 10**9),
    rows=st.integers(1, 10**6),
    validation=st.integers(0, 10**3),
    columns=st.integers(1, 100),
)
def test_budget_gives_the_fewest_batches_that_fit(budget, rows, validation, columns):
    row = RowMemory(n_columns=columns, n_outputs=1)
    if budget < OVERHEAD_BYTES + (validation + 1) * row.bytes:
        with pytest.raises(ConfigError, match=f"{budget:,} bytes do not hold 128,000,000 of"):
            num_batches_for(budget, rows, validation, row)
        return

    def fits(num_batches):
        return (-(-rows // num_batches) + validation) * row.bytes + OVERHEAD_BYTES <= budget

    if not fits(MAX_NUM_BATCHES):
        with pytest.raises(ConfigError, match="99,999 are the most"):
            num_batches_for(budget, rows, validation, row)
        return
    found, words = num_batches_for(budget, rows, validation, row)
    assert fits(found)
    assert found == 1 or not fits(found - 1)
    assert words.endswith(f"-> {found} batches")


def test_memory_of_a_row_by_hand():
    # Matrix, fields, two quantised copies, gradients and margins.
    assert RowMemory(n_columns=28, n_outputs=1).bytes == 28 * 4 + 24 + 28 * 2 + 12
    assert RowMemory(n_columns=1, n_outputs=7).bytes == 4 + 24 + 2 + 7 * 12


def test_budget_in_words():
    row = RowMemory(n_columns=10, n_outputs=1)
    budget = OVERHEAD_BYTES + 110 * row.bytes
    found, words = num_batches_for(budget, 1000, 10, row)
    assert found == 10
    assert words == (
        f"1,000 rows x 96 bytes in ({budget:,} bytes - {OVERHEAD_BYTES:,} overhead "
        "- 10 validation rows x 96 bytes) -> 10 batches"
    )
    assert num_batches_for(budget, 1000, 109, row)[0] == 1000
    with pytest.raises(ConfigError, match="110 validation rows of 96 bytes each"):
        num_batches_for(budget, 1000, 110, row)


def test_external_memory_keeps_something_of_every_row_in_memory():
    row = RowMemory(n_columns=10, n_outputs=1)
    assert row.resident_bytes == 24
    budget = OVERHEAD_BYTES + 110 * row.bytes + 1000 * 24
    found, words = num_batches_for(budget, 1000, 10, row, external_memory=True)
    assert found == 10
    assert words == (
        f"1,000 rows x 96 bytes in ({budget:,} bytes - {OVERHEAD_BYTES:,} overhead "
        "- 10 validation rows x 96 bytes - 1,000 rows x 24 bytes) -> 10 batches"
    )
    with pytest.raises(ConfigError, match="1,000 rows of which 24 bytes each stay in memory"):
        num_batches_for(OVERHEAD_BYTES + 24_000, 1000, 0, row, external_memory=True)


def test_batches_are_no_more_than_can_be_named():
    row = RowMemory(n_columns=1, n_outputs=1)
    budget = OVERHEAD_BYTES + row.bytes
    assert num_batches_for(budget, MAX_NUM_BATCHES, 0, row)[0] == MAX_NUM_BATCHES
    assert TrainingConfig(num_batches=MAX_NUM_BATCHES).num_batches == MAX_NUM_BATCHES
    with pytest.raises(ConfigError, match="would take 100,000 batches, and 99,999 are the most"):
        num_batches_for(budget, MAX_NUM_BATCHES + 1, 0, row)


@given(st.integers(0, 2**32), st.integers(0, 50), st.integers(1, 40))
def test_order_is_a_permutation_and_visits_follow_it(seed, epoch, num_batches):
    order = batch_order(seed, epoch, num_batches)
    assert order == batch_order(seed, epoch, num_batches)
    assert sorted(order) == list(range(num_batches))
    visits = [visit_at(epoch * num_batches + i, seed, num_batches) for i in range(num_batches)]
    assert [visit.batch for visit in visits] == order
    assert {visit.epoch for visit in visits} == {epoch}
    assert [visit.number % num_batches for visit in visits] == list(range(num_batches))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {tuple(batch_order(seed, epoch, 20)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
