"""What every backend does, against its plain library; a new one is a line in ``BACKENDS``."""

import itertools

import numpy as np
import pytest
from plain import PLAIN
from sklearn.metrics import log_loss, roc_auc_score
from small import balanced, boost, margins, problem, rows, same, started

from batchtrainingbooster.backends.registry import BACKENDS, load_backend
from batchtrainingbooster.backends.settings import link_name
from batchtrainingbooster.core import links
from batchtrainingbooster.core.metrics import is_maximized
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import BackendError, ConfigError


@pytest.fixture(params=sorted(BACKENDS))
def name(request):
    return request.param


@pytest.fixture
def plain(name):
    return PLAIN[name]


@pytest.mark.parametrize("sampled", [False, True])
def test_one_batch_is_plain_training_to_the_last_bit(name, plain, sampled):
    config = {**plain.small, **(plain.sampling if sampled else {})}
    batch = balanced(rows(800))
    ours = started(name, config, reference=batch)
    boost(ours, batch, [0.2] * 8)
    theirs = plain.train({"n_jobs": 1, **config}, [(batch, [0.2] * 8)], batch)
    same(margins(name, ours, batch.features), plain.margins(theirs, batch.features))


def test_two_batches_are_a_loop_by_hand(name, plain):
    first, second = balanced(rows(900, 1)), balanced(rows(900, 2))
    config = {**plain.small, **plain.sampling}
    ours = started(name, config, reference=first)
    visits = [(first, [0.3] * 5), (second, [0.1] * 5)]
    for batch, rates in visits:
        boost(ours, batch, rates)
    theirs = plain.train({"n_jobs": 1, **config}, visits, first)
    if name == "catboost":
        # Plain CatBoost finds other borders in the second batch; ours are those of the reference.
        spread = np.abs(plain.margins(theirs, first.features)).max()
        ours_on_first = margins(name, ours, first.features)
        assert np.abs(ours_on_first - plain.margins(theirs, first.features)).max() < 0.2 * spread
    else:
        same(margins(name, ours, first.features), plain.margins(theirs, first.features))


def test_learning_rate_may_change_with_every_round(name, plain):
    batch = balanced(rows(900, 1))
    rates = [0.4, 0.2, 0.1]
    ours = started(name, plain.small, reference=batch)
    boost(ours, batch, rates)
    theirs = plain.train({"n_jobs": 1, **plain.small}, [(batch, rates)], batch)
    same(margins(name, ours, batch.features), plain.margins(theirs, batch.features))


def test_metrics_are_weighted_and_those_of_the_saved_model(name, plain):
    validation = rows(400, 5)
    ours = started(name, {**plain.small, "eval_metric": plain.metric}, validation=validation)
    for seed in (1, 2):
        batch = rows(600, seed)
        found = boost(ours, batch, [0.3] * 5)
    parts = {"train": batch, "valid": validation}
    if name == "catboost":
        # On training rows, its statistics of a category leave out the row itself.
        del parts["train"]
    for part, data in parts.items():
        chances = links.probabilities(margins(name, ours, data.features), "softmax")
        expected = log_loss(data.label, chances, sample_weight=data.weight)
        assert getattr(found[-1], part) == {plain.metric: pytest.approx(expected, rel=1e-5)}
    assert ours.validate() == {plain.metric: pytest.approx(found[-1].valid[plain.metric], rel=1e-9)}


def test_cut_model_goes_on_as_the_shorter_one_would(name, plain):
    first, second, validation = rows(600, 1), rows(600, 2), rows(300, 5)
    config = {**plain.small, **plain.sampling}
    cut, short = (started(name, config, validation=validation) for _ in range(2))
    boost(cut, first, [0.3] * 4)
    boost(cut, rows(600, 9), [0.3] * 4)
    cut.truncate(4)
    assert cut.n_rounds == 4
    boost(short, first, [0.3] * 4)
    assert boost(cut, second, [0.1] * 4) == boost(short, second, [0.1] * 4)
    if name == "catboost":
        # It keeps borders and statistics of categories that only the dropped trees used.
        same(*(margins(name, backend, second.features) for backend in (cut, short)))
    else:
        assert cut.to_bytes() == short.to_bytes()


def test_model_cut_within_a_visit_is_the_model_at_that_round(name, plain):
    batch, validation = rows(600, 1), rows(300, 5)
    ours = started(name, plain.small, validation=validation)
    found = boost(ours, batch, [0.3] * 6)
    ours.truncate(3)
    assert ours.n_rounds == 3
    assert ours.validate() == pytest.approx(found[2].valid, rel=1e-9)


def test_model_cut_to_nothing_starts_anew(name):
    one, other = (started(name, validation=rows(300, 5)) for _ in range(2))
    boost(one, rows(300, 8), [0.3] * 2)
    one.truncate(0)
    assert one.n_rounds == 0
    assert one.validate() == {}
    with pytest.raises(BackendError, match="no round was kept"):
        one.to_bytes()
    batch = rows(300)
    assert boost(one, batch, [0.3] * 2) == boost(other, batch, [0.3] * 2)
    assert one.to_bytes() == other.to_bytes()


def test_same_seed_gives_the_same_bytes_and_another_seed_others(name, plain):
    models = []
    for seed in (3, 3, 4):
        ours = started(name, {**plain.small, **plain.sampling}, problem(seed=seed))
        for number in (1, 2):
            boost(ours, rows(500, number), [0.2] * 3)
        models.append(ours)
    assert models[0].to_bytes() == models[1].to_bytes()
    features = rows(200, 7).features
    assert not np.array_equal(
        margins(name, models[0], features), margins(name, models[2], features)
    )


def test_training_ends_where_the_loop_says_so(name):
    ours, count = started(name), itertools.count(1)
    ours.boost(ours.dataset(rows(500)), [0.2] * 10, lambda _: next(count) < 3)
    assert ours.n_rounds == 3
    ours.boost(ours.dataset(rows(500)), [0.2, 0.1, 0.05], lambda _: False)
    assert ours.n_rounds == 4


def test_weights_count(name, plain):
    batch = rows(800, weighted=False)
    of_second_class = []
    for weight in (1, 5):
        weights = np.where(batch.label == 1, weight, 1).astype(np.float32)
        ours = started(name, plain.small)
        boost(ours, Batch(batch.features, batch.label, weights), [0.3] * 5)
        chances = links.probabilities(margins(name, ours, batch.features), "softmax")
        of_second_class.append(chances[:, 1].mean())
    assert of_second_class[1] > of_second_class[0] + 0.1


def test_row_of_weight_zero_does_not_count(name, plain):
    batch, others = rows(600, 1, weighted=False), rows(300, 2, weighted=False)
    wrong = np.float32(2) - others.label
    features = np.asfortranarray(np.concatenate([batch.features, others.features]))
    weight = np.repeat(np.float32([1, 0]), [600, 300])
    with_others = Batch(features, np.concatenate([batch.label, wrong]), weight)
    config = {**plain.small, "max_bin": 250, **({"rsm": 1} if name == "catboost" else {})}
    chances = []
    for data in (batch, with_others):
        # Without the categorical column, of which CatBoost counts rows whatever their weight.
        numeric = Batch(np.asfortranarray(data.features[:, :3]), data.label, data.weight)
        the_problem = problem(column_names=("a", "b", "c"), cardinalities=(0, 0, 0))
        reference = Batch(np.asfortranarray(batch.features[:, :3]), batch.label)
        ours = started(name, config, the_problem, reference)
        boost(ours, numeric, [0.3] * 5)
        scores = margins(name, ours, np.asfortranarray(batch.features[:, :3]))
        chances.append(links.probabilities(scores, "softmax"))
    apart = np.abs(chances[0] - chances[1]).mean()
    # LightGBM counts rows, whatever their weight, in min_data_in_leaf; CatBoost samples rows.
    assert apart < {"xgboost": 1e-6, "lightgbm": 0.02, "catboost": 0.05}[name]


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_class_that_the_first_batches_lack_is_learned_later(name, plain, lacking):
    validation = rows(500, 9)
    ours = started(name, plain.small, validation=validation)
    for seed in (1, 2):
        batch = rows(600, seed)
        keep = batch.label != lacking
        boost(
            ours,
            Batch(np.asfortranarray(batch.features[keep]), batch.label[keep], batch.weight[keep]),
            [0.3] * 3,
        )
    for seed in (3, 4, 5):
        boost(ours, rows(600, seed), [0.3] * 10)
    chances = links.probabilities(margins(name, ours, validation.features), "softmax")
    assert chances.shape == (500, 3)
    own = validation.label == lacking
    assert chances[own, lacking].mean() > 0.5
    assert chances[~own, lacking].mean() < 0.35


@pytest.mark.parametrize("lacking", [0, 1])
def test_batch_with_one_of_two_classes(name, plain, lacking):
    ours = started(name, plain.small, problem(TargetKind.BINARY))
    batch = rows(400, 1, TargetKind.BINARY)
    keep = batch.label != lacking
    one_sided = Batch(
        np.asfortranarray(batch.features[keep]), batch.label[keep], batch.weight[keep]
    )
    boost(ours, one_sided, [0.1] * 3)
    for seed in (2, 3):
        boost(ours, rows(400, seed, TargetKind.BINARY), [0.3] * 10)
    test = rows(400, 4, TargetKind.BINARY)
    scores = margins(name, ours, test.features)
    assert scores.shape == (400, 1)
    assert roc_auc_score(test.label, scores[:, 0]) > 0.9


@pytest.mark.parametrize("order", [(0.0, 0.3), (0.3, 0.0)])
def test_missing_values_in_some_batches_alone(name, plain, order):
    validation = rows(300, 9, holes=0.3)
    ours = started(name, plain.small, reference=rows(500, holes=0.0), validation=validation)
    for seed, holes in enumerate(order):
        found = boost(ours, rows(500, seed, holes=holes), [0.3] * 5)
    chances = links.probabilities(margins(name, ours, validation.features), "softmax")
    expected = log_loss(validation.label, chances, sample_weight=validation.weight)
    assert found[-1].valid[plain.metric] == pytest.approx(expected, rel=1e-5)


def test_batch_with_nothing_to_learn_ends_the_visit(name):
    ours = started(name)
    boost(ours, rows(500), [0.2] * 3)
    constant = Batch(np.ones((50, 4), np.float32, order="F"), rows(50).label)
    boost(ours, constant, [0.2] * 3)
    assert 3 <= ours.n_rounds <= 6
    boost(ours, rows(500, 1), [0.2] * 3)
    assert np.isfinite(margins(name, ours, rows(50).features)).all()


def test_batch_with_a_constant_target_is_passed_over(name):
    ours = started(name, {}, problem(TargetKind.REGRESSION))
    batch = rows(500, 1, TargetKind.REGRESSION)
    boost(ours, Batch(batch.features, np.ones_like(batch.label), batch.weight), [0.3] * 2)
    found = boost(ours, batch, [0.3] * 3)
    assert len(found) == 3
    scores = margins(name, ours, batch.features)[:, 0]
    assert np.corrcoef(scores, batch.label)[0, 1] > 0.7


def log_loss_derivatives(y_true, y_pred):
    chance = 1 / (1 + np.exp(-y_pred))
    return chance - y_true, chance * (1 - chance)


LOGISTIC = {
    "xgboost": {"objective": "binary:logistic", "base_score": 0.5},
    "lightgbm": {"objective": "binary", "boost_from_average": False},
    "catboost": {
        "objective": "Logloss", "leaf_estimation_iterations": 1, "leaf_estimation_method": "Newton",
    },
}  # fmt: skip


def test_objective_may_be_a_function(name, plain):
    """It counts weights, and gives what the library's own loss gives, but for rounding."""
    found = []
    for config in ({"objective": log_loss_derivatives, "eval_metric": log_loss}, LOGISTIC[name]):
        validation = rows(300, 9, TargetKind.BINARY)
        ours = started(
            name, {**plain.small, **config}, problem(TargetKind.BINARY), validation=validation
        )
        for seed in (1, 2):
            metrics = boost(ours, rows(600, seed, TargetKind.BINARY), [0.3] * 4)
        found.append((margins(name, ours, validation.features), metrics[-1].valid))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-4)
    assert list(found[0][1]) == ["log_loss"]
    assert found[0][1]["log_loss"] == pytest.approx([*found[1][1].values()][-1], abs=1e-4)


def test_objective_of_several_classes_may_be_a_function(name, plain):
    def softmax_derivatives(y_true, y_pred, sample_weight=None):
        assert y_pred.shape == (len(y_true), 3)
        chances = links.probabilities(y_pred, "softmax")
        target = np.eye(3)[y_true.astype(int)]
        weight = sample_weight[:, None] if sample_weight is not None else 1
        return (chances - target) * weight, 2 * chances * (1 - chances) * weight

    config = {**plain.small, "objective": softmax_derivatives, "eval_metric": log_loss}
    if name == "catboost":
        with pytest.raises(ConfigError, match="row by row for a multiclass target"):
            started(name, config)
        return
    validation = rows(300, 9)
    ours = started(name, config, validation=validation)
    metrics = boost(ours, rows(800), [0.3] * 8)
    assert metrics[-1].valid["log_loss"] < 0.6 < metrics[0].valid["log_loss"]
    chances = links.probabilities(margins(name, ours, validation.features), "softmax")
    expected = log_loss(validation.label, chances, sample_weight=validation.weight)
    assert metrics[-1].valid["log_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [TargetKind.BINARY, TargetKind.REGRESSION])
def test_metric_may_be_a_function_beside_those_of_the_library(name, plain, kind):
    def bias(y_true, y_pred):
        return float(np.mean(y_pred) - np.mean(y_true))

    module = load_backend(name)
    own = module.with_defaults(module.parse_settings({}), kind).metric_names[0]
    config = {**plain.small, "eval_metric": [own, bias]}
    validation = rows(30_000, 9, kind)
    ours = started(name, config, problem(kind), validation=validation)
    found = boost(ours, rows(600, 1, kind), [0.3] * 3)
    link = "sigmoid" if kind is TargetKind.BINARY else "identity"
    scores = margins(name, ours, validation.features)
    values = 1 / (1 + np.exp(-scores[:, 0])) if link == "sigmoid" else scores[:, 0]
    assert list(found[-1].valid) == list(found[-1].train) == [own, "bias"]
    assert found[-1].valid["bias"] == pytest.approx(bias(validation.label, values), abs=1e-5)
    assert ours.validate()["bias"] == pytest.approx(found[-1].valid["bias"], abs=1e-6)


def test_metric_of_the_order_may_be_a_function(name, plain):
    """It is given all rows at once."""
    validation = rows(30_000, 9, TargetKind.BINARY)
    config = {**plain.small, "eval_metric": roc_auc_score}
    ours = started(name, config, problem(TargetKind.BINARY), validation=validation)
    found = boost(ours, rows(600, 1, TargetKind.BINARY), [0.3] * 3)
    scores = margins(name, ours, validation.features)[:, 0]
    expected = roc_auc_score(validation.label, scores, sample_weight=validation.weight)
    assert found[-1].valid["roc_auc_score"] == pytest.approx(expected, abs=1e-6)


def broken(y_true, y_pred):
    return y_pred / 0 + {}


def short(y_true, y_pred):
    return y_pred[:1], y_pred[:1]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"objective": broken}, "broken"),
        ({"objective": short}, "shape"),
        ({"objective": lambda y_true, y_pred: 1.0}, "need a pair of arrays"),
        ({"eval_metric": broken}, "broken"),
        ({"eval_metric": lambda y_true, y_pred: "good"}, "need a number"),
    ],
)
def test_broken_functions_are_found_before_any_data_is_written(name, config, message):
    with pytest.raises(ConfigError, match=message):
        started(name, config, problem(TargetKind.BINARY))


OBJECTIVES = {
    "xgboost": {
        TargetKind.BINARY: ["binary:logistic", "binary:logitraw", "binary:hinge"],
        TargetKind.MULTICLASS: ["multi:softprob", "multi:softmax"],
        TargetKind.REGRESSION: [
            "reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror",
            "count:poisson", "reg:tweedie", "reg:gamma", "reg:squaredlogerror",
        ],
        TargetKind.RANKING: ["rank:ndcg", "rank:pairwise", "rank:map"],
    },
    "lightgbm": {
        TargetKind.BINARY: ["binary"],
        TargetKind.MULTICLASS: ["multiclass", "multiclassova"],
        TargetKind.REGRESSION: [
            "regression", "mae", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie",
        ],
        TargetKind.RANKING: ["lambdarank", "rank_xendcg"],
    },
    "catboost": {
        TargetKind.BINARY: ["Logloss"],
        TargetKind.MULTICLASS: ["MultiClass", "MultiClassOneVsAll"],
        TargetKind.REGRESSION: [
            "RMSE", "MAE", "Quantile:alpha=0.7", "Huber:delta=2", "Poisson",
            "Tweedie:variance_power=1.5", "LogCosh", "MAPE", "Expectile:alpha=0.3", "Lq:q=3",
        ],
        TargetKind.RANKING: [
            "YetiRank", "YetiRankPairwise", "StochasticRank:metric=NDCG", "QueryRMSE",
            "QuerySoftMax", "PairLogit", "PairLogitPairwise",
        ],
    },
}  # fmt: skip
CASES = [
    (name, kind, objective)
    for name, kinds in OBJECTIVES.items()
    for kind, objectives in kinds.items()
    for objective in objectives
]
OPTIONS = {
    "reg:quantileerror": {"quantile_alpha": 0.7},
    "quantile": {"alpha": 0.7},
    "rank:map": {"eval_metric": "ndcg"},
}


@pytest.mark.parametrize(("name", "kind", "objective"), CASES)
def test_objectives_learn_over_batches(name, kind, objective):
    module, plain = load_backend(name), PLAIN[name]
    assert module.target_kind(module.parse_settings({"objective": objective}).objective) is kind
    test = rows(500, 9, kind)
    if objective == "rank:map":
        test = binary_grades(test)
    config = {**plain.small, "objective": objective, **OPTIONS.get(objective, {})}
    ours = started(name, config, problem(kind), rows(500, kind=kind), test)
    found = []
    for seed in (1, 2, 3):
        batch = rows(500, seed, kind)
        if objective == "rank:map":
            batch = binary_grades(batch)
        found += boost(ours, batch, [0.2] * 6)
    settings = module.with_defaults(module.parse_settings(config), kind)
    maximize = is_maximized(settings.metric_names[-1], module.METRICS)
    values = [list(metrics.valid.values())[-1] for metrics in found]
    assert (values[-1] > values[0]) if maximize else (values[-1] < values[0])
    scores = margins(name, ours, test.features)
    link = link_name(settings, kind, module.link_of)
    if kind in (TargetKind.BINARY, TargetKind.MULTICLASS):
        right = links.probabilities(scores, link).argmax(axis=1) == test.label
        assert right.mean() > 0.75
    else:
        score = links.expectations(scores, link)
        assert np.corrcoef(score, test.label)[0, 1] > 0.6
    if kind is TargetKind.REGRESSION and "uantile" not in objective:
        assert np.abs(score.mean() / test.label.mean() - 1) < 0.35


def binary_grades(batch):
    return Batch(batch.features, (batch.label > 1).astype(np.float32), group=batch.group)


@pytest.mark.parametrize(
    ("name", "alpha"), [("xgboost", 0.9), ("lightgbm", 0.9), ("catboost", 0.9)]
)
def test_quantile_is_met(name, alpha):
    configs = {
        "xgboost": {"objective": "reg:quantileerror", "quantile_alpha": alpha},
        "lightgbm": {"objective": "quantile", "alpha": alpha},
        "catboost": {"objective": f"Quantile:alpha={alpha}"},
    }
    test = rows(2000, 9, TargetKind.REGRESSION)
    ours = started(name, {**PLAIN[name].small, **configs[name]}, problem(TargetKind.REGRESSION))
    for seed in (1, 2, 3):
        boost(ours, rows(1000, seed, TargetKind.REGRESSION), [0.2] * 15)
    below = (test.label <= margins(name, ours, test.features)[:, 0]).mean()
    assert abs(below - alpha) < 0.06


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_depht": 3}, r"max_depht: unknown key.*'max_depth'"),
        ({"n_estimators": 0}, "n_estimators: got 0, need a number > 0"),
        ({"n_estimators": "many"}, "n_estimators: got 'many', need an integer"),
        ({"learning_rate": -1}, "learning_rate: got -1.0, need a number > 0"),
        ({"max_depth": "deep"}, "refuses it"),
        ({"objective": 3}, "objective: got 3, need a text, a function or None"),
        ({"eval_metric": [1]}, "eval_metric: got 1, need the name of a metric"),
        ({"learning_rate": 0.1, "eta": 0.2}, "two spellings of one setting"),
    ],
)
def test_bad_settings_are_refused_by_name(name, config, message):
    with pytest.raises(ConfigError, match=message) as caught:
        started(name, config)
    assert str(caught.value).startswith("config_model")


def test_settings_that_every_backend_refuses(name):
    for key in ("callbacks", "init_model" if name != "xgboost" else "xgb_model"):
        with pytest.raises(ConfigError, match=f"{key}: cannot be set here"):
            load_backend(name).parse_settings({key: []})


def test_unknown_objective_is_refused(name):
    with pytest.raises(ConfigError, match="'survival:cox' is not supported"):
        load_backend(name).target_kind("survival:cox")


def test_columns_may_be_called_anything(name, plain):
    odd = ("a b", 'q"u,o:te', "[b]<r>{a}", "naïve 🐍")
    ours = started(name, plain.small, problem(column_names=odd))
    boost(ours, rows(500), [0.3] * 3)
    native = load_backend(name).native_names(odd)
    predictor = load_backend(name).Predictor(ours.to_bytes())
    found = predictor.importance(predictor.importance_kinds[0])
    assert set(found) <= set(native)
    assert found[native[0]] == max(found.values())


def test_importance_of_unknown_kind_is_refused(name):
    ours = started(name)
    boost(ours, rows(500), [0.3])
    with pytest.raises(ConfigError, match="importance kind: got 'magic', need one of"):
        load_backend(name).Predictor(ours.to_bytes()).importance("magic")


def test_no_rows_have_no_margins(name):
    ours = started(name)
    boost(ours, rows(500), [0.3])
    assert margins(name, ours, np.empty((0, 4), np.float32, order="F")).shape == (0, 3)


def test_damaged_model_is_refused(name):
    with pytest.raises(BackendError, match="while loading the model"):
        load_backend(name).Predictor(b"not a model")


def visits_of(name, config, the_problem, validation, interrupted_after=None, least_rounds=0):
    """Four visits with a cut; where one was interrupted, in two backends."""
    kind = the_problem.kind
    backend = started(name, config, the_problem, validation=validation)
    found = []
    for visit, rate in enumerate([0.3, 0.3, 0.2, 0.1]):
        found += boost(backend, rows(500, visit, kind), [rate] * 3)
        if visit == 1:
            backend.truncate(4)
        if visit == interrupted_after:
            files = backend.checkpoint(least_rounds)
            assert all(type(content) is bytes for content in files.values())
            backend = started(name, config, the_problem, validation=validation)
            backend.restore(files)
    backend.truncate(9)
    return backend.to_bytes(), found


@pytest.mark.parametrize("kind", list(TargetKind))
@pytest.mark.parametrize("sampled", [False, True])
def test_restored_backend_goes_on_to_the_same_bytes(name, plain, kind, sampled):
    config = {**plain.small, **(plain.sampling if sampled else {})}
    validation = rows(300, 5, kind)
    whole = visits_of(name, config, problem(kind), validation)
    for after in range(4):
        assert visits_of(name, config, problem(kind), validation, after) == whole, after


def test_backend_without_a_model_has_an_empty_checkpoint(name):
    ours = started(name)
    assert ours.checkpoint(0) == {}
    boost(ours, rows(300), [0.3])
    ours.restore({})
    assert ours.n_rounds == 0


def test_model_that_was_continued_is_restored(name, plain):
    earlier = started(name, plain.small)
    boost(earlier, rows(500, 8), [0.3] * 3)
    the_problem = problem(initial_model=earlier.to_bytes())
    validation = rows(300, 5)
    whole = visits_of(name, plain.small, the_problem, validation)
    for after in (0, 2):
        assert visits_of(name, plain.small, the_problem, validation, after, 3) == whole


def test_catboost_restores_the_models_that_its_statistics_need():
    config = {"depth": 3, "one_hot_max_size": 2}
    the_problem, validation = problem(TargetKind.BINARY), rows(300, 5, TargetKind.BINARY)
    whole = visits_of("catboost", config, the_problem, validation)
    for after, least_rounds in ((0, 0), (1, 2), (1, 4), (2, 4), (3, 4)):
        assert (
            visits_of("catboost", config, the_problem, validation, after, least_rounds) == whole
        ), after
    backend = started("catboost", config, the_problem)
    for visit in range(4):
        boost(backend, rows(300, visit, TargetKind.BINARY), [0.3] * 2)
    # The model after the third visit gives what a cut to five rounds does.
    assert sorted(backend.checkpoint(5)) == ["model.cbm", "visit-00000.cbm"]
