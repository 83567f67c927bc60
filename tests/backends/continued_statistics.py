"""Models with statistics of categories, loaded from bytes and continued: in a process of its own.

CatBoost reads bytes in place, and a model that continues such a one goes on pointing at them when
they are gone: it crashes, hangs, or gives other values (https://github.com/catboost/catboost/issues/2784).
"""

import gc
import logging

import numpy as np
from small import margins, problem, started

from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import TargetKind

TIMES = 20
CATEGORIES = 1000


def batch_of(seed, decisive):
    """The label follows one of two categorical columns, so that others go unused."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, CATEGORIES, (3000, 2)).astype(np.float32)
    label = codes[:, decisive] % 7 + rng.standard_normal(3000)
    return Batch(np.asfortranarray(codes), label.astype(np.float32), None, None)


def main():
    logging.disable(logging.WARNING)
    the_problem = problem(
        TargetKind.REGRESSION, column_names=("a", "b"), cardinalities=(CATEGORIES, CATEGORIES)
    )
    config = {"one_hot_max_size": 2, "max_ctr_complexity": 1}
    first, validation, expected = batch_of(0, 0), batch_of(9, 0), None

    def backend():
        return started("catboost", config, the_problem, reference=first, validation=validation)

    def visit(ours, batch):
        ours.boost(ours.dataset(batch), [0.3] * 5, lambda _: True)

    saved = backend()
    visit(saved, first)
    files = saved.checkpoint(0)
    for time in range(TIMES):
        ours = backend()
        ours.restore({name: bytes(bytearray(data)) for name, data in files.items()})
        for seed in (1, 2, 3):
            visit(ours, batch_of(seed, 1))
            ours.checkpoint(ours.n_rounds)  # lets earlier models go
            gc.collect()
            taken = [bytes([seed + 65]) * 20_000 for _ in range(400)]
        found = margins("catboost", ours, validation.features)
        expected = found if expected is None else expected
        assert np.array_equal(found, expected), f"other values at the {time}th time"
        del taken


if __name__ == "__main__":
    main()
