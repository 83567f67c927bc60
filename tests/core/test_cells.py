"""Which cells are laid out, which are dealt, and that every row finds its place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrainingbooster.core.batching import deal, lay, plan_strata
from batchtrainingbooster.core.cells import N_CELLS, UNDECIDED, plan_cells, repeats
from batchtrainingbooster.core.grouping import sampled_buckets

SHAPES = st.tuples(st.integers(0, 2**32), st.sampled_from([0.01, 1, 30]), st.integers(1, 4))


def counts_of(seed, mean, n_strata):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(mean, (n_strata, N_CELLS))
    counts[rng.integers(n_strata), rng.integers(N_CELLS)] += rng.choice([0, 1, 1000])
    counts[0, 0] += 1
    return counts


def placed(counts, strata, plan, num_batches):
    """Rows by stratum and part (-1: held out), as ``data.assign`` would place them."""
    table = np.zeros((len(strata), num_batches + 1), int)
    for i in range(len(strata)):
        for batch in range(-1, num_batches):
            table[i, batch] = counts[i][plan.place[i] == batch].sum()
        own = np.where(plan.is_dealt[i], 0, counts[i])
        ranks = np.repeat(plan.place[i] == UNDECIDED, own).nonzero()[0]
        batches, _, _ = lay(ranks, plan.laid[i], num_batches)
        if plan.dealt[i].rows:
            dealt = deal(np.arange(plan.dealt[i].rows), plan.dealt[i], num_batches)
            batches = np.concatenate([batches, dealt])
        for batch in range(-1, num_batches):
            table[i, batch] += (batches == batch).sum()
    return table


@given(SHAPES, st.integers(1, 40), st.sampled_from([None, 0.1, 0.6]), st.sampled_from([0, 0.03, 1]))
def test_every_batch_gets_its_rows_of_every_stratum(shape, num_batches, fraction, share):
    counts = counts_of(*shape)
    num_batches = min(num_batches, int(counts.sum() * (1 - (fraction or 0)) - len(counts)))
    if num_batches < 1 or (fraction and counts.sum() * fraction < len(counts)):
        return
    strata = plan_strata(counts.sum(axis=1).tolist(), num_batches, fraction)
    plan = plan_cells(counts, strata, num_batches, share)
    table = placed(counts, strata, plan, num_batches)
    assert table[:, :-1].tolist() == [s.batch_counts(num_batches) for s in strata]
    assert table[:, -1].tolist() == [s.held_out for s in strata]
    # No cell that is dealt is decided, and each is of one kind.
    assert (plan.place[plan.is_dealt] == UNDECIDED).all()
    assert [d.rows + n.rows for d, n in zip(plan.dealt, plan.laid, strict=True)] == [
        s.rows for s in strata
    ]


def test_most_cells_of_many_rows_are_laid():
    counts = counts_of(0, 1000, 2)
    strata = plan_strata(counts.sum(axis=1).tolist(), 10, 0.1)
    plan = plan_cells(counts, strata, 10, sample_share=0.02)
    assert not plan.is_dealt.all()
    undecided = counts[plan.place == UNDECIDED].sum() / counts.sum()
    assert 0.02 <= undecided < 0.06


def test_sample_is_the_same_share_of_every_batch_and_stratum():
    counts = np.random.default_rng(0).poisson([[1000.0], [100.0]], (2, N_CELLS))
    strata = plan_strata(counts.sum(axis=1).tolist(), 4)
    sampled = plan_cells(counts, strata, 4, sample_share=0.1).place == UNDECIDED
    edges = plan_cells(counts, strata, 4, sample_share=0).place == UNDECIDED
    share = (counts * (sampled & ~edges)).sum(axis=1) / counts.sum(axis=1)
    assert share == pytest.approx([0.1, 0.1], abs=0.01)


def test_few_rows_are_dealt():
    counts = np.random.default_rng(0).poisson(0.5, (2, N_CELLS))
    strata = plan_strata(counts.sum(axis=1).tolist(), 4)
    assert plan_cells(counts, strata, 4, sample_share=1).is_dealt.all()


@given(st.integers(0, 2**32), st.sampled_from([0.001, 0.1, 1, 10, 1000]), st.integers(1, 5))
def test_distinct_rows_do_not_repeat(seed, mean, n_strata):
    counts = np.random.default_rng(seed).poisson(mean, (n_strata, N_CELLS))
    assert not repeats(counts).any()


@pytest.mark.parametrize(("distinct", "times"), [(10, 1000), (1000, 100), (20_000, 5), (10**6, 2)])
def test_rows_that_repeat_are_dealt(distinct, times):
    rng = np.random.default_rng(0)
    counts = times * np.bincount(rng.integers(0, N_CELLS, distinct), minlength=N_CELLS)[None]
    assert repeats(counts)[counts > 0].all()


def test_one_row_that_repeats_is_dealt_alone():
    counts = np.random.default_rng(0).poisson(100, (2, N_CELLS))
    counts[1, 5] += 400
    assert np.argwhere(repeats(counts)).tolist() == [[1, 5]]


def test_sampled_buckets_are_the_first_of_each_batch():
    rows = np.array([5, 5, 0, 5, 5, 5])
    places = np.array([-1, 0, 0, 1, 0, 1])
    assert sampled_buckets(rows, places, 0.6).tolist() == [False, True, True, True, True, True]
    assert sampled_buckets(rows, places, 0.5).tolist() == [False, True, False, True, False, False]
    assert not sampled_buckets(rows, places, 0).any()
