"""Whether a run fits into the memory that is there."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchtrainingbooster.core.batching import OVERHEAD_BYTES, RowMemory, num_batches_for
from batchtrainingbooster.core.fitting import (
    Load,
    refuse_batch_that_does_not_fit,
    refuse_run_that_does_not_fit,
)
from batchtrainingbooster.errors import BatchTrainingError, NotEnoughMemoryError

ROW = RowMemory(n_columns=28, n_outputs=1)  # 204 bytes


def load(*batch_rows, validation_rows=0, **more):
    return Load(batch_rows=batch_rows, validation_rows=validation_rows, row=ROW, **more)


def equal(rows, num_batches, **more):
    each, extra = divmod(rows, num_batches)
    return load(*(each + (i < extra) for i in range(num_batches)), **more)


def refusal(refuse, *arguments):
    with pytest.raises(NotEnoughMemoryError) as caught:
        refuse(*arguments)
    return str(caught.value)


def test_run_is_refused_with_its_arithmetic_and_what_would_fit():
    run = equal(10_000_000, 2, validation_rows=100_000)
    assert refusal(refuse_run_that_does_not_fit, run, 10**9) == (
        "batch 1 of 2: 5,000,000 rows x 204 bytes + 128,000,000 bytes of overhead + "
        "100,000 validation rows x 204 bytes need 1.169 GB, and 1.000 GB are available: "
        "num_batches=3 would fit, or give this process more memory"
    )
    need = OVERHEAD_BYTES + 5_100_000 * 204
    refuse_run_that_does_not_fit(run, need)
    assert "need 1.169 GB, and 1.168 GB are" in refusal(refuse_run_that_does_not_fit, run, need - 1)


def test_later_batch_is_judged_by_what_it_adds():
    run = load(100_000, 900_000, validation_rows=10**6)
    refuse_batch_that_does_not_fit(run, 0, 100_000 * 204)
    refuse_batch_that_does_not_fit(run, 1, 900_000 * 204)
    message = refusal(refuse_batch_that_does_not_fit, run, 1, 900_000 * 204 - 1)
    assert message.startswith(
        "batch 2 of 2: 900,000 rows x 204 bytes need 0.184 GB, and 0.183 GB are available: "
    )


def test_batch_is_named_by_its_own_number():
    message = refusal(refuse_batch_that_does_not_fit, equal(3000, 3), 2, 0)
    assert message.startswith("batch 3 of 3: 1,000 rows x ")


def test_of_batches_on_disk_what_is_still_to_come_counts():
    run = equal(3_000_000, 3, external_memory=True)
    need = 2_000_000 * ROW.resident_bytes + 1_000_000 * ROW.bytes
    refuse_batch_that_does_not_fit(run, 1, need)
    refusal(refuse_batch_that_does_not_fit, run, 1, need - 1)


def test_no_number_of_batches_helps_where_validation_rows_are_too_many():
    run = equal(1000, 2, validation_rows=10**7)
    assert refusal(refuse_run_that_does_not_fit, run, 10**9).endswith(
        "no number of batches would fit, as 2.168 GB are taken beside them; validate on fewer "
        "rows, or give this process more memory"
    )


def test_nor_where_one_row_at_a_time_would_still_be_too_much():
    # Enough for a row, but not for as few rows as the most batches would have.
    run = equal(10**9, 2)
    budget = OVERHEAD_BYTES + 5 * ROW.bytes
    assert "no number of batches" in refusal(refuse_run_that_does_not_fit, run, budget)


def test_rows_that_stay_in_memory_count_with_external_memory():
    run = equal(10_000_000, 20, external_memory=True)
    need = OVERHEAD_BYTES + 10_000_000 * ROW.resident_bytes + 500_000 * ROW.bytes
    refuse_run_that_does_not_fit(run, need)
    message = refusal(refuse_run_that_does_not_fit, run, need - 1)
    assert " + what stays of 10,000,000 rows x 24 bytes need" in message
    assert "num_batches=21 would fit" in message


def test_batches_of_whole_queries_are_not_promised_to_fit():
    run = load(500_000, 100_000, 100_000)
    message = refusal(refuse_run_that_does_not_fit, run, OVERHEAD_BYTES + 250_000 * ROW.bytes)
    assert "queries are not split, so that num_batches=6 or more would fit" in message


def test_nothing_is_refused_where_the_system_does_not_say():
    run = equal(10**12, 1)
    refuse_run_that_does_not_fit(run, None)
    refuse_batch_that_does_not_fit(run, 0, None)


def test_error_is_one_of_memory_and_one_of_ours():
    assert issubclass(NotEnoughMemoryError, MemoryError)
    assert issubclass(NotEnoughMemoryError, BatchTrainingError)


@given(
    rows=st.integers(1, 10**8),
    num_batches=st.integers(1, 50),
    validation_rows=st.integers(0, 10**6),
    available=st.integers(0, 4 * 10**9),
    later=st.booleans(),
    external_memory=st.booleans(),
)
def test_number_in_the_message_fits_and_is_more_than_before(
    rows, num_batches, validation_rows, available, later, external_memory
):
    assume(rows >= num_batches)
    more = {"validation_rows": validation_rows, "external_memory": external_memory}
    run = equal(rows, num_batches, **more)
    try:
        if later:
            refuse_batch_that_does_not_fit(run, 0, available)
        else:
            refuse_run_that_does_not_fit(run, available)
    except NotEnoughMemoryError as error:
        message = str(error)
    else:
        return
    if later:
        # With this much at the start, as much is left once the rest is loaded.
        available += run.lasting_bytes
    found = re.search(r"num_batches=([\d,]+) would fit", message)
    if found is None:
        assert "no number of batches would fit" in message
        return
    proposed = int(found.group(1).replace(",", ""))
    # That of a budget, by one arithmetic, and never the number that has failed.
    budgeted = num_batches_for(
        available, rows, validation_rows, ROW, external_memory=external_memory
    )
    assert proposed == budgeted[0] > num_batches
    refuse_run_that_does_not_fit(equal(rows, proposed, **more), available)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20), st.integers(0, 10**9))
def test_number_for_unequal_batches_is_more_than_before(batch_rows, room):
    run = load(*batch_rows)
    try:
        refuse_run_that_does_not_fit(run, OVERHEAD_BYTES + room)
    except NotEnoughMemoryError as error:
        found = re.search(r"num_batches=([\d,]+)", str(error))
        if found:
            assert int(found.group(1).replace(",", "")) > len(batch_rows)
