"""All batches on disk, against all of them in memory."""

import numpy as np
import pytest
from small import boost, margins, problem, rows, started

from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError, StagingError

KINDS = [TargetKind.BINARY, TargetKind.MULTICLASS, TargetKind.REGRESSION, TargetKind.RANKING]
N = 900


class Slices:
    """A batch in some parts, of unequal length."""

    def __init__(self, whole, num_batches, scratch):
        self.whole, self.num_batches, self.scratch = whole, num_batches, scratch
        cuts = np.linspace(0, 1, num_batches + 1) ** 1.5 * len(whole.label) // 10 * 10
        self.cuts = cuts.astype(int)
        self.read = 0

    def batch(self, number):
        self.read += 1
        part = slice(*self.cuts[number : number + 2])
        whole = self.whole
        return Batch(
            np.asfortranarray(whole.features[part]),
            whole.label[part],
            None if whole.weight is None else whole.weight[part],
            None if whole.group is None else whole.group[: len(whole.label[part]) // 10],
        )


def boost_on_disk(backend, source, rates):
    found = []
    with backend.external_dataset(source) as dataset:
        backend.boost(dataset, rates, lambda metrics: found.append(metrics) or True)
        files = list(source.scratch.rglob("*.page"))
    return found, files


def both(kind, config, num_batches, scratch):
    """Predictions and metrics of training in memory and from disk."""
    whole, valid = rows(N, kind=kind), rows(300, seed=1, kind=kind)
    results = []
    for external in (False, True):
        own = problem(kind, external_memory=external)
        backend = started("xgboost", config, own, validation=valid)
        if external:
            source = Slices(whole, num_batches, scratch)
            found, _ = boost_on_disk(backend, source, [0.3] * 6)
        else:
            found = boost(backend, whole, [0.3] * 6)
        results.append((margins("xgboost", backend, valid.features), found))
    return results


@pytest.mark.parametrize("num_batches", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_trees_see_every_row(kind, num_batches, tmp_path):
    (in_memory, metrics), (on_disk, same_metrics) = both(kind, {}, num_batches, tmp_path)
    np.testing.assert_allclose(on_disk, in_memory, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(same_metrics, metrics, strict=True):
        assert ours.train == pytest.approx(theirs.train, rel=1e-5)
        assert ours.valid == pytest.approx(theirs.valid, rel=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        {"max_leaves": 7, "grow_policy": "lossguide"},
        {"colsample_bynode": 0.5, "num_parallel_tree": 2},
        {"max_bin": 16},
        {"objective": lambda y, p: (p - y, np.ones_like(y)), "eval_metric": "logloss"},
    ],
    ids=["lossguide", "columns", "bins", "function"],
)
def test_settings_mean_the_same(config, tmp_path):
    (in_memory, _), (on_disk, _) = both(TargetKind.BINARY, config, 3, tmp_path)
    np.testing.assert_allclose(on_disk, in_memory, rtol=1e-4, atol=1e-5)


def test_rows_are_sampled(tmp_path):
    (_, _), (sampled, found) = both(TargetKind.BINARY, {"subsample": 0.5}, 3, tmp_path)
    (_, _), (all_rows, _) = both(TargetKind.BINARY, {}, 3, tmp_path)
    assert not np.allclose(sampled, all_rows, atol=1e-3)
    assert found[-1].train["logloss"] < found[0].train["logloss"]


def test_same_settings_same_bytes(tmp_path):
    models = set()
    for _ in range(2):
        backend = started("xgboost", {"subsample": 0.5}, problem(external_memory=True))
        boost_on_disk(backend, Slices(rows(N), 3, tmp_path), [0.3] * 4)
        models.add(backend.to_bytes())
    assert len(models) == 1


def test_goes_on_after_a_cut(tmp_path):
    straight, cut = (
        started("xgboost", {}, problem(external_memory=True), validation=rows(300, seed=1))
        for _ in range(2)
    )
    boost_on_disk(straight, Slices(rows(N), 3, tmp_path), [0.3] * 5)
    with cut.external_dataset(Slices(rows(N), 3, tmp_path)) as dataset:
        cut.boost(dataset, [0.3] * 4, lambda _: True)
        cut.truncate(2)
        cut.boost(dataset, [0.3] * 3, lambda _: True)
    assert cut.to_bytes() == straight.to_bytes()


def test_files_lie_in_the_scratch_folder_and_are_gone_afterwards(tmp_path):
    backend, source = started("xgboost", {}, problem(external_memory=True)), None
    source = Slices(rows(N), 3, tmp_path)
    _, files = boost_on_disk(backend, source, [0.3])
    assert files
    assert not list(tmp_path.iterdir())
    assert source.read == 2 * 3  # for the shape, and to quantise


def test_a_batch_that_cannot_be_read_is_named(tmp_path):
    class Damaged(Slices):
        def batch(self, number):
            if number == 1:
                msg = "batch 2 is damaged"
                raise StagingError(msg)
            return super().batch(number)

    backend = started("xgboost", {}, problem(external_memory=True))
    with (
        pytest.raises(StagingError, match="batch 2 is damaged"),
        backend.external_dataset(Damaged(rows(N), 3, tmp_path)),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["exact", "approx"])
def test_other_tree_methods_are_refused(method):
    with pytest.raises(ConfigError, match=f"tree_method: got '{method}'"):
        started("xgboost", {"tree_method": method}, problem(external_memory=True))


def test_an_earlier_model_is_refused():
    earlier = started("xgboost")
    boost(earlier, rows(N), [0.3])
    own = problem(external_memory=True, initial_model=earlier.to_bytes())
    with pytest.raises(ConfigError, match=r"init_model: .* 'incremental'"):
        started("xgboost", {}, own)
