"""Which rows of a batch are whose."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchtrainingbooster.data.share import ALL, Share
from batchtrainingbooster.distributed.worker import shares_of


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(1, 9))
def test_every_row_is_in_one_share_and_shares_are_equal(rows, workers):
    owners = [np.zeros(n, int) for n in rows]
    sizes = []
    for number in range(workers):
        slices = Share(number, workers).slices(rows)
        for owner, own in zip(owners, slices, strict=True):
            assert 0 <= own.start <= own.stop <= len(owner)
            owner[own] += 1
        sizes.append(sum(own.stop - own.start for own in slices))
    assert all((owner == 1).all() for owner in owners)
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.integers(1, 9))
def test_every_query_is_in_one_share(hashes, workers):
    owned = np.array([Share(n, workers).owns(np.array(hashes)) for n in range(workers)])
    assert (owned.sum(axis=0) == 1).all()


def test_one_worker_has_all():
    assert ALL.slices([3, 0, 5]) == [slice(0, 3), slice(0, 0), slice(0, 5)]


@given(st.lists(st.none() | st.integers(0, 6), min_size=7, max_size=7))
def test_every_task_takes_another_share_and_keeps_what_it_holds(held):
    taken = shares_of(held)
    assert sorted(taken) == list(range(7))
    for number in {number for number in held if number is not None}:
        assert taken[held.index(number)] == number
