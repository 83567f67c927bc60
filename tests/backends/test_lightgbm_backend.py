"""What is LightGBM's alone; what all backends share is in test_conformance."""

import lightgbm as lgb
import numpy as np
import pytest
from small import balanced, boost, margins, problem, rows, same, started

from batchtrainingbooster.backends import lightgbm_backend
from batchtrainingbooster.backends.lightgbm_parameters import base_scores, parse_settings
from batchtrainingbooster.backends.settings import Problem
from batchtrainingbooster.core import links
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError


def derivatives(y_true, margins):
    return margins - y_true, np.ones_like(margins)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"boosting": "dart"}, "boosting: got 'dart'; only 'gbdt' models can be cut back"),
        ({"boosting_type": "rf"}, "boosting: got 'rf'"),
        (
            {"linear_tree": True},
            "linear_tree: cannot be set here: linear trees cannot be continued",
        ),
        ({"sigmoid": 2.0}, "sigmoid: cannot be set here"),
        ({"reg_sqrt": True}, "reg_sqrt: cannot be set here"),
        ({"categorical_feature": [0]}, "categories are found in the data"),
        ({"query": "q"}, "group_column: cannot be set here: name it in config_training"),
        ({"first_metric_only": True}, "the last metric of eval_metric decides"),
        ({"objective": derivatives, "eval_metric": "binary_logloss"}, "takes the margins of a"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(config, message):
    with pytest.raises(ConfigError, match=message):
        started("lightgbm", config, problem(TargetKind.BINARY))


def test_number_of_classes_must_be_that_of_the_target():
    with pytest.raises(ConfigError, match="num_class: got 5, but the target has 3 classes"):
        started("lightgbm", {"num_class": 5})


def sure_then_wrong(config):
    """Log losses after a batch that can be learned by heart, and after another one."""
    easy = rows(120, 1, weighted=False)
    other, validation = rows(120, 2, weighted=False), rows(500, 9, weighted=False)
    config = {"min_data_in_leaf": 5, **config}
    ours = started("lightgbm", config, reference=rows(500), validation=validation)
    return [boost(ours, batch, [0.3] * 100)[-1].valid["multi_logloss"] for batch in (easy, other)]


def test_model_that_is_sure_of_its_first_batch_does_not_diverge_on_the_second():
    assert max(sure_then_wrong({})) < 1
    assert sure_then_wrong({"reg_lambda": 0})[1] > 10


def test_position_of_a_ranking_metric_may_be_in_its_name():
    settings = parse_settings({"eval_metric": ["map@3", "ndcg@5"]})
    assert settings.metrics == ("map", "ndcg")
    assert settings.params["eval_at"] == [3, 5]
    ours = started(
        "lightgbm", {"eval_metric": "ndcg@5"}, problem(TargetKind.RANKING),
        validation=rows(200, 9, TargetKind.RANKING),
    )  # fmt: skip
    found = boost(ours, rows(500, 1, TargetKind.RANKING), [0.3])
    assert list(found[-1].valid) == ["ndcg@5"]


def test_metrics_and_objectives_have_other_spellings():
    settings = parse_settings({"objective": "mae", "metric": ["mse", "mae", "l2"]})
    assert settings.objective == "regression_l1"
    assert settings.metrics == ("l2", "l1")


def regression(**changes):
    return Problem(
        kind=TargetKind.REGRESSION, mean=2.0, percentiles=tuple(float(i) for i in range(101)),
        column_names=("a",), cardinalities=(0,), seed=0, **changes,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, 2.0), ({"objective": "mae"}, 50.0), ({"objective": "quantile"}, 90.0),
        ({"objective": "quantile", "alpha": 0.25}, 25.0), ({"objective": "poisson"}, np.log(2.0)),
        ({"objective": "huber"}, 2.0), ({"boost_from_average": False}, 0.0),
        ({"objective": derivatives}, 0.0),
    ],
)  # fmt: skip
def test_intercept_is_that_of_all_rows(config, expected):
    settings = lightgbm_backend.with_defaults(parse_settings(config), TargetKind.REGRESSION)
    assert base_scores(settings, regression()) == [pytest.approx(expected)]


def test_intercept_is_in_the_first_trees_of_the_native_file():
    batch = balanced(rows(900))
    ours = started("lightgbm", {"max_depth": 3}, reference=batch)
    boost(ours, batch, [1e-12])
    found = links.probabilities(margins("lightgbm", ours, batch.features), "softmax")
    assert found.mean(axis=0) == pytest.approx([0.5, 0.25, 0.25])


def test_layout_may_be_chosen():
    batch = balanced(rows(900))
    models = []
    for config in ({}, {"force_col_wise": True}):
        ours = started("lightgbm", {"max_depth": 3, **config}, reference=batch)
        boost(ours, batch, [0.3] * 3)
        models.append(margins("lightgbm", ours, batch.features))
    assert models[0] == pytest.approx(models[1], abs=1e-6)


def test_native_file_goes_on_in_plain_lightgbm():
    batch = balanced(rows(900))
    ours = started("lightgbm", {"max_depth": 3}, reference=batch)
    boost(ours, batch, [0.3] * 3)
    loaded = lgb.Booster(model_str=ours.to_bytes().decode())
    data = lgb.Dataset(batch.features, batch.label, categorical_feature=[3])
    params = {"objective": "multiclass", "num_class": 3, "verbosity": -1}
    longer = lgb.train(params, data, 2, init_model=loaded)
    assert longer.current_iteration() == 5
    same(
        longer.predict(batch.features, raw_score=True, num_iteration=3),
        margins("lightgbm", ours, batch.features),
    )
