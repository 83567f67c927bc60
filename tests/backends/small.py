"""Small batches, and backends that are ready to train on them."""

import numpy as np
from plain import NAMES

from batchtrainingbooster.backends.registry import load_backend
from batchtrainingbooster.backends.settings import Problem
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import TargetKind

THREE = (0.5, 0.25, 0.25)


def rows(n, seed=0, kind=TargetKind.MULTICLASS, holes=0.1, weighted=True):
    """Three numeric columns with holes, one categorical of five."""
    rng = np.random.default_rng(seed)
    features = np.asfortranarray(rng.standard_normal((n, 4)).astype(np.float32))
    features[:, 3] = rng.integers(0, 5, n)
    score = features[:, 0] + (features[:, 3] == 2) + 0.3 * rng.standard_normal(n)
    group = None
    if kind is TargetKind.MULTICLASS:
        label = (score > 0).astype(np.float32) + (features[:, 1] > 1)
    elif kind is TargetKind.BINARY:
        label = score > 0
    elif kind is TargetKind.RANKING:
        label, group = np.clip(np.round(score + 1), 0, 4), np.full(n // 10, 10)
    else:
        label = np.exp(0.3 * score)
    features[rng.random((n, 4)) < holes] = np.nan
    weight = rng.random(n).astype(np.float32) + 0.5 if weighted and group is None else None
    return Batch(features, np.asarray(label, np.float32), weight, group)


def problem(kind=TargetKind.MULTICLASS, **changes):
    shares = {TargetKind.MULTICLASS: THREE, TargetKind.BINARY: (0.5, 0.5)}.get(kind, ())
    return Problem(
        **{
            "kind": kind, "class_shares": shares, "mean": 1.0, "column_names": tuple(NAMES),
            "percentiles": tuple(np.linspace(0.5, 2, 101)), "cardinalities": (0, 0, 0, 5),
            "seed": 3, **changes,
        }
    )  # fmt: skip


def started(name, config=None, the_problem=None, reference=None, validation=None):
    """A backend that has its reference sample, one thread."""
    module, the_problem = load_backend(name), the_problem or problem()
    settings = module.parse_settings({"n_jobs": 1, **(config or {})})
    settings = module.with_defaults(settings, the_problem.kind)
    backend = module.Backend(settings, the_problem)
    backend.start(reference or rows(500, kind=the_problem.kind), validation)
    return backend


def boost(backend, batch, rates):
    """The metrics of each round."""
    found = []
    backend.boost(backend.dataset(batch), rates, lambda metrics: found.append(metrics) or True)
    return found


def margins(name, backend, features):
    return load_backend(name).Predictor(backend.to_bytes()).margins(features)


def same(ours, theirs):
    assert ours.shape == theirs.shape
    assert np.array_equal(ours, theirs)


def balanced(batch):
    """Weighted so that the classes have the shares of the problem, to the last bit."""
    weight = np.zeros(len(batch.label), np.float32)
    for i, share in enumerate(THREE):
        # A power of two, so that sums of it are exact.
        own = np.flatnonzero(batch.label == i)[:32]
        weight[own] = share
    keep = weight > 0
    return Batch(np.asfortranarray(batch.features[keep]), batch.label[keep], weight[keep])
