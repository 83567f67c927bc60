"""The XGBoost adapter, against plain XGBoost."""

import json

import numpy as np
import pytest
import xgboost as xgb

from batchtrainingbooster.backends import xgboost_backend
from batchtrainingbooster.backends.settings import Problem
from batchtrainingbooster.backends.xgboost_backend import Backend, Predictor, native_names
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import BackendError, ConfigError

N_COLUMNS = 4


def rows(n, seed=0, cardinality=5):
    """Three numeric columns with holes, one categorical; three classes."""
    rng = np.random.default_rng(seed)
    features = np.asfortranarray(rng.standard_normal((n, N_COLUMNS)).astype(np.float32))
    features[:, 3] = rng.integers(0, cardinality, n)
    label = (features[:, 0] + (features[:, 3] == 2) > 0).astype(np.float32) + (features[:, 1] > 1)
    features[rng.random((n, N_COLUMNS)) < 0.1] = np.nan
    return Batch(features, label.astype(np.float32), rng.random(n).astype(np.float32) + 0.5)


def problem(kind=TargetKind.MULTICLASS, **changes):
    return Problem(
        **{
            "kind": kind,
            "class_shares": (0.5, 0.3, 0.2),
            "column_names": ("a", "b", "c", "d"),
            "cardinalities": (0, 0, 0, 5),
            "seed": 3,
            **changes,
        }
    )


def backend(config=None, the_problem=None, reference=None, validation=None):
    the_problem = the_problem or problem()
    settings = xgboost_backend.parse_settings({"max_depth": 4, "n_jobs": 1, **(config or {})})
    settings = xgboost_backend.with_defaults(settings, the_problem.kind)
    result = Backend(settings, the_problem)
    result.start(reference or rows(500), validation)
    return result


def boost(backend, dataset, rates):
    """The metrics of each round."""
    found = []
    backend.boost(dataset, rates, lambda metrics: found.append(metrics) or True)
    return found


def data_of(batch, **options):
    return xgb.QuantileDMatrix(
        batch.features,
        label=batch.label,
        weight=batch.weight,
        feature_names=["a", "b", "c", "d"],
        feature_types=["float", "float", "float", "c"],
        enable_categorical=True,
        **options,
    )


PLAIN = {
    "objective": "multi:softprob",
    "num_class": 3,
    "max_depth": 4,
    "nthread": 1,
    "seed": 3,
    "seed_per_iteration": True,
    "eval_metric": "mlogloss",
    "base_score": [float(np.log(share)) for share in (0.5, 0.3, 0.2)],
}


def trees(booster):
    return booster.get_dump(dump_format="json", with_stats=True)


@pytest.mark.parametrize("sampling", [{}, {"subsample": 0.7, "colsample_bynode": 0.7}])
def test_one_batch_is_plain_training_to_the_last_bit(sampling):
    batch = rows(800)
    ours = backend(sampling, reference=batch)
    boost(ours, ours.dataset(batch), [0.2] * 8)
    plain = xgb.train({**PLAIN, **sampling, "eta": 0.2}, data_of(batch), 8)
    assert trees(Predictor(ours.to_bytes()).booster) == trees(plain)


def test_two_batches_are_a_loop_by_hand():
    first, second, reference = rows(600, 1), rows(600, 2), rows(1000, 3)
    ours = backend(reference=reference)
    boost(ours, ours.dataset(first), [0.3] * 5)
    boost(ours, ours.dataset(second), [0.1] * 5)
    cuts = data_of(reference)
    plain = xgb.train({**PLAIN, "eta": 0.3}, data_of(first, ref=cuts), 5)
    by_hand = xgb.Booster(PLAIN, model_file=bytearray(plain.save_raw("ubj")))
    data = data_of(second, ref=cuts)
    for i in range(5):
        by_hand.set_param({"eta": 0.1})
        by_hand.update(data, 5 + i)
    assert trees(Predictor(ours.to_bytes()).booster) == trees(by_hand)


def test_metrics_of_quantised_rows_are_those_of_the_saved_model():
    first, second, validation = rows(600, 1), rows(600, 2), rows(400, 5)
    ours = backend({"eval_metric": ["merror", "mlogloss"]}, validation=validation)
    for batch in (first, second):
        rounds = boost(ours, ours.dataset(batch), [0.3] * 5)
    saved = Predictor(ours.to_bytes())
    for part, batch in (("train", second), ("valid", validation)):
        margins = saved.margins(batch.features).astype(np.float64)
        chances = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
        own = chances[np.arange(len(batch.label)), batch.label.astype(int)]
        expected = -np.average(np.log(own), weights=batch.weight)
        assert getattr(rounds[-1], part)["mlogloss"] == pytest.approx(expected, rel=1e-6)
    assert list(rounds[-1].valid) == ["merror", "mlogloss"]


def test_cut_model_goes_on_as_the_shorter_one_would():
    first, second, validation = rows(600, 1), rows(600, 2), rows(300, 5)
    cut = backend({"subsample": 0.8}, validation=validation)
    boost(cut, cut.dataset(first), [0.3] * 4)
    boost(cut, cut.dataset(rows(600, 9)), [0.3] * 4)
    cut.truncate(4)
    assert cut.n_rounds == 4
    short = backend({"subsample": 0.8}, validation=validation)
    boost(short, short.dataset(first), [0.3] * 4)
    after = [boost(b, b.dataset(second), [0.1] * 4) for b in (cut, short)]
    assert after[0] == after[1]
    assert cut.to_bytes() == short.to_bytes()


def test_model_cut_to_nothing_starts_anew():
    batch = rows(300)
    one = backend()
    boost(one, one.dataset(rows(300, 8)), [0.3] * 2)
    one.truncate(0)
    assert one.n_rounds == 0
    with pytest.raises(BackendError, match="no round was kept"):
        one.to_bytes()
    other = backend()
    for b in (one, other):
        boost(b, b.dataset(batch), [0.3] * 2)
    assert one.to_bytes() == other.to_bytes()


def test_category_that_the_reference_lacks_is_learned_from_a_later_batch():
    reference, batch = rows(500, cardinality=2), rows(2000, 1)
    ours = backend(reference=reference)
    boost(ours, ours.dataset(batch), [0.5] * 5)
    predictor = Predictor(ours.to_bytes())
    with_2, with_1 = batch.features[:50].copy(), batch.features[:50].copy()
    with_2[:, 3], with_1[:, 3] = 2, 1
    assert not np.array_equal(predictor.margins(with_2), predictor.margins(with_1))


def test_intercept_is_that_of_all_rows_and_not_of_the_first_batch():
    one_sided = Batch(rows(300).features, np.ones(300, np.float32))
    binary = problem(TargetKind.BINARY, class_shares=(0.75, 0.25))
    ours = backend(the_problem=binary)
    boost(ours, ours.dataset(one_sided), [0.1])
    config = json.loads(Predictor(ours.to_bytes()).booster.save_config())
    base_score = config["learner"]["learner_model_param"]["base_score"]
    assert float(base_score.strip("[]")) == pytest.approx(0.25)


def test_earlier_model_is_continued_with_its_own_thresholds():
    first, second = rows(600, 1), rows(600, 2)
    earlier = backend(reference=first)
    boost(earlier, earlier.dataset(first), [0.3] * 5)
    # Cuts of two rows would be far from the earlier model's thresholds.
    further = backend(
        the_problem=problem(initial_model=earlier.to_bytes()),
        reference=rows(2),
        validation=second,
    )
    assert further.n_rounds == 5
    plain = xgb.DMatrix(
        second.features, second.label, weight=second.weight,
        feature_names=["a", "b", "c", "d"], feature_types=["float", "float", "float", "c"],
        enable_categorical=True,
    )  # fmt: skip
    before = Predictor(earlier.to_bytes()).booster
    before.set_param({"eval_metric": "mlogloss"})
    score = float(before.eval(plain).split(":")[1])
    (metrics,) = boost(further, further.dataset(second), [1e-9])
    assert metrics.valid["mlogloss"] == pytest.approx(score, abs=1e-6)
    longer = Predictor(further.to_bytes()).booster
    assert trees(longer[:5]) == trees(Predictor(earlier.to_bytes()).booster)


def test_callers_arrays_are_not_touched():
    batch = rows(300)
    before = batch.features.copy(), batch.label.copy()
    ours = backend(reference=batch, validation=batch)
    boost(ours, ours.dataset(batch), [0.3])
    np.testing.assert_array_equal(batch.features, before[0])
    np.testing.assert_array_equal(batch.label, before[1])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"max_dept": 3},
            r"max_dept: unknown key, or without effect here \(did you mean 'max_depth",
        ),
        ({"tweedie_variance_power": 1.2}, "tweedie_variance_power: unknown key, or without effect"),
        ({"max_depth": -3}, "value -3 for Parameter max_depth should be greater equal to 0"),
        ({"subsample": 3}, r"subsample exceed bound \[0,1\]"),
        ({"tree_method": "fast"}, "'fast', valid values are"),
        ({"eval_metric": "fooo"}, "Unknown metric function fooo"),
        ({"num_class": 4}, "num_class: got 4, but the target has 3 classes"),
        ({"booster": "dart"}, "only 'gbtree' models can be cut back"),
    ],
)
def test_bad_parameters_are_refused_before_any_data(config, message):
    with pytest.raises(ConfigError, match=message):
        backend(config)


def test_hard_names_get_native_names_of_their_own():
    assert native_names(["a.b", "c d", "é"]) == ["a.b", "c d", "é"]
    assert native_names(["a[0]", "b"]) == ["f0", "f1"]


def test_damaged_model_is_refused():
    with pytest.raises(BackendError, match="XGBoost failed while loading the model"):
        Predictor(b"{}")


def test_queries_of_an_earlier_batch_are_forgotten():
    """XGBoost's ranking objectives keep them by the address of the dataset, which is used again."""
    rng = np.random.default_rng(0)

    def ranked(sizes):
        n = sum(sizes)
        features = np.asfortranarray(rng.standard_normal((n, N_COLUMNS)).astype(np.float32))
        features[:, 3] = rng.integers(0, 5, n)
        label = np.clip(np.round(features[:, 0] + 1), 0, 3)
        return Batch(features, label, group=np.array(sizes))

    # Equal in rows, so that wrong queries would go unnoticed.
    batches = [ranked(sizes) for sizes in ([10] * 40, [20] * 20, [5] * 80) * 4]
    the_problem = problem(TargetKind.RANKING, class_shares=())
    ours = backend({"objective": "rank:ndcg"}, the_problem, reference=batches[0])
    by_hand = None
    cuts = xgb.QuantileDMatrix(batches[0].features, feature_types=["float"] * 3 + ["c"],
        enable_categorical=True)  # fmt: skip
    params = {"objective": "rank:ndcg", "max_depth": 4, "nthread": 1, "seed": 3, "base_score": 0.0,
        "seed_per_iteration": True, "eta": 0.3}  # fmt: skip
    for batch in batches:
        boost(ours, ours.dataset(batch), [0.3] * 3)
    for batch in batches:
        data = xgb.QuantileDMatrix(batch.features, label=batch.label, group=batch.group, ref=cuts,
            feature_types=["float"] * 3 + ["c"], enable_categorical=True)  # fmt: skip
        earlier = None if by_hand is None else bytearray(by_hand.save_raw("ubj"))
        by_hand = xgb.Booster(params, cache=[data], model_file=earlier)
        for _ in range(3):
            by_hand.update(data, by_hand.num_boosted_rounds())
    margins = Predictor(ours.to_bytes()).margins(batches[0].features)[:, 0]
    expected = by_hand.inplace_predict(batches[0].features, predict_type="margin")
    assert np.array_equal(margins, expected)
