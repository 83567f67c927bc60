"""What is CatBoost's alone; what all backends share is in test_conformance."""

import itertools
import logging
import os
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
from sklearn.metrics import log_loss
from small import balanced, boost, margins, problem, rows, same, started

from batchtrainingbooster.backends import catboost_backend
from batchtrainingbooster.backends.catboost_parameters import METRICS, NAMES, target_kind
from batchtrainingbooster.core import links
from batchtrainingbooster.core.metrics import is_maximized
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import ConfigError


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"task_type": "GPU"}, "task_type: got 'GPU': CatBoost continues a model on 'CPU' only"),
        ({"text_features": ["a"]}, "text_features: cannot be set here: text columns cannot be"),
        ({"embedding_features": [1]}, "embedding_features: cannot be set here"),
        ({"grow_policy": "Lossguide"}, "grow_policy: got 'Lossguide'; CatBoost can cut only"),
        ({"use_best_model": True}, "use_best_model: cannot be set here: the best round is found"),
        ({"auto_class_weights": "Balanced"}, "it would weigh each batch by itself"),
        ({"snapshot_file": "x"}, "snapshot_file: cannot be set here"),
        ({"model_shrink_rate": 0.1}, "CatBoost forgets it when it continues a model"),
        ({"posterior_sampling": True}, "CatBoost cannot continue such a model"),
        ({"class_names": [1, 0]}, "class_names: cannot be set here: classes are found in the data"),
        ({"custom_metric": ["AUC"]}, "list all metrics in eval_metric"),
        ({"eval_metric": [log_loss, "AUC"]}, "takes one function, and it must be the last metric"),
        ({"eval_metric": [log_loss, max]}, "takes one function"),
        ({"eval_metric": "AUK", "maximize": True}, "CatBoost refuses it|unknown key"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(config, message):
    with pytest.raises(ConfigError, match=message):
        started("catboost", config, problem(TargetKind.BINARY))


@pytest.mark.parametrize(
    "name", ["RMSEWithUncertainty", "MultiQuantile:alpha=0.1,0.9", "MultiRMSE"]
)
def test_objectives_of_several_outputs_a_row_are_refused(name):
    with pytest.raises(ConfigError, match=f"'{name}' is not supported"):
        target_kind(name)


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_beside_statistics_of_categories_are_those_of_the_model(weighted, caplog):
    """CatBoost keeps the statistics of one batch alone when it continues a model."""
    validation = rows(800, 9, weighted=weighted)
    config = {"one_hot_max_size": 2, "max_depth": 4, "eval_metric": ["Accuracy", "MultiClass"]}
    ours = started("catboost", config, validation=validation)
    assert "more than 2 categories" in caplog.records[-1].getMessage()
    assert caplog.records[-1].levelno == logging.WARNING
    found = [boost(ours, rows(500, seed, weighted=weighted), [0.3] * 6) for seed in (1, 2, 3, 4)]
    every = [metrics for visit in found for metrics in visit]
    for n_rounds in (24, 22, 13, 12, 3):
        ours.truncate(n_rounds)
        scores = margins("catboost", ours, validation.features)
        chances = links.probabilities(scores, "softmax")
        expected = log_loss(validation.label, chances, sample_weight=validation.weight)
        reported = every[n_rounds - 1]
        assert reported.valid["MultiClass"] == pytest.approx(expected, rel=1e-6)
        right = chances.argmax(axis=1) == validation.label
        accuracy = np.average(right, weights=validation.weight)
        assert reported.valid["Accuracy"] == pytest.approx(accuracy, abs=1e-6)
        assert list(reported.train) == list(reported.valid) == ["Accuracy", "MultiClass"]


def test_rounds_beside_statistics_of_categories_may_be_fewer_than_trained():
    """They are looked at after the visit; the loop cuts what it did not take."""
    ours, taken = started("catboost", {"one_hot_max_size": 2}, validation=rows(200, 9)), []
    ours.boost(
        ours.dataset(rows(500)), [0.3] * 6, lambda metrics: taken.append(metrics) or len(taken) < 2
    )
    assert len(taken) == 2
    ours.truncate(2)
    assert ours.validate() == pytest.approx(taken[-1].valid)


def test_cuts_between_visits_keep_to_the_model_of_the_time():
    """Visits that are cut, continued, and cut again, one of them into the earlier one."""
    validation = rows(400, 9)
    config = {"one_hot_max_size": 2, "max_depth": 4}
    ours = started("catboost", config, validation=validation)
    first = boost(ours, rows(500, 1), [0.3] * 6)
    ours.truncate(4)
    second = boost(ours, rows(500, 2), [0.3] * 6)
    assert ours.n_rounds == 10
    ours.truncate(8)
    assert ours.validate() == pytest.approx(second[3].valid)
    boost(ours, rows(500, 3), [0.3] * 2)
    ours.truncate(3)
    assert ours.validate() == pytest.approx(first[2].valid)


def test_earlier_model_comes_back_as_it_was():
    earlier = started("catboost", {"one_hot_max_size": 2})
    boost(earlier, rows(500, 1), [0.3] * 4)
    the_problem = problem(initial_model=earlier.to_bytes())
    ours = started("catboost", {"one_hot_max_size": 2}, the_problem, validation=rows(200, 9))
    before = ours.validate()
    boost(ours, rows(500, 2), [0.3] * 3)
    ours.truncate(4)
    assert ours.validate() == before
    features = rows(300, 5).features
    same(margins("catboost", ours, features), margins("catboost", earlier, features))


def test_models_continued_after_loading_do_not_point_at_bytes_that_are_gone():
    """A crash or a hang of CatBoost, so in a process of its own."""
    script = Path(__file__).with_name("continued_statistics.py")
    paths = os.pathsep.join(map(str, (script.parent, script.parents[1] / "core")))
    environment = {**os.environ, "PYTHONPATH": paths}
    found = subprocess.run(
        [sys.executable, str(script)], env=environment, timeout=60, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr


def test_no_warning_where_categories_are_few(caplog):
    started("catboost")
    assert caplog.records == []


def test_model_does_not_carry_the_notes_of_those_that_it_continues():
    ours, sizes = started("catboost"), []
    for seed in range(4):
        boost(ours, rows(500, seed), [0.3] * 2)
        sizes.append(len(ours.to_bytes()))
    growth = np.diff(sizes)
    assert growth.max() - growth.min() < 2_000
    kept = catboost_backend.Predictor(ours.to_bytes()).booster.get_metadata()
    assert not [key for key in kept if "initModel" in key or key in ("model_guid", "training")]


def test_borders_are_those_of_the_reference_in_every_batch():
    reference = rows(2000, 7)
    ours = started("catboost", {"border_count": 8}, reference=reference)
    for seed in (1, 2, 3):
        boost(ours, rows(500, seed), [0.3] * 5)
    borders = catboost_backend.Predictor(ours.to_bytes()).booster.get_borders()
    alone = started("catboost", {"border_count": 8}, reference=reference)
    boost(alone, reference, [0.3] * 40)
    every = catboost_backend.Predictor(alone.to_bytes()).booster.get_borders()
    assert any(borders[column] for column in range(3))
    for column in range(3):
        assert set(borders[column]) <= set(every[column]) | {np.finfo(np.float32).min}


def constant(batch):
    """The same rows, which nothing tells apart."""
    features = np.ones_like(batch.features)
    features[:, 3] = 0
    return attrs.evolve(batch, features=features)


KINDS = [TargetKind.BINARY, TargetKind.MULTICLASS, TargetKind.REGRESSION]


@pytest.mark.parametrize("kind", KINDS)
def test_rounds_without_a_split_are_cut_like_any_other(kind):
    """CatBoost refuses to: it takes the number of splits for the number of trees."""
    batch = constant(rows(300, 1, kind, holes=0))
    ours = started("catboost", None, problem(kind), reference=batch, validation=batch)
    found = boost(ours, batch, [0.3] * 4)
    ours.truncate(1)
    assert ours.n_rounds == 1
    assert ours.validate() == pytest.approx(found[0].valid, rel=1e-6)
    boost(ours, batch, [0.3] * 2)
    assert ours.n_rounds == 3
    ours.truncate(2)
    assert ours.n_rounds == 2
    assert np.isfinite(margins("catboost", ours, batch.features)).all()


@pytest.mark.parametrize("statistics", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_past_rounds_without_a_split_changes_no_bit_of_the_others(kind, statistics):
    batch, dull = rows(300, 1, kind), constant(rows(300, 2, kind))
    config = {"max_depth": 2, **({"one_hot_max_size": 2} if statistics else {})}
    ours = started("catboost", config, problem(kind), batch, rows(200, 9, kind))
    first = boost(ours, batch, [0.3] * 2)
    values = ours._model.get_leaf_values()
    boost(ours, dull, [0.3] * 9)
    ours.truncate(8)
    assert ours.n_rounds == 8
    same(ours._model.get_leaf_values()[: len(values)], values)
    ours.truncate(2)
    assert ours.validate() == pytest.approx(first[1].valid, rel=1e-6)
    boost(ours, batch, [0.3])
    assert ours.n_rounds == 3


def test_a_constant_rate_in_two_halves_is_one_visit():
    """One fit for each rate: seeds go on from round to round."""
    batch = balanced(rows(900))
    one, other = (started("catboost", {"max_depth": 3}, reference=batch) for _ in range(2))
    boost(one, batch, [0.2] * 4)
    boost(one, batch, [0.1] * 2)
    boost(other, batch, [0.2] * 4 + [0.1] * 2)
    same(*(margins("catboost", backend, batch.features) for backend in (one, other)))


def test_nothing_is_written_beside_the_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = started("catboost", {"one_hot_max_size": 2}, validation=rows(200, 9))
    boost(ours, rows(500), [0.3] * 3)
    ours.validate()
    ours.to_bytes()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("metric", "maximize"), [("AUC", True), ("NDCG:top=5", True), ("RMSE", False)]
)
def test_direction_of_metrics(metric, maximize):
    assert is_maximized(metric, METRICS) is maximize
    assert {"max_depth", "depth"} < set(NAMES)


def test_rounds_that_are_reported_afterwards_end_when_they_are_not_wanted():
    ours = started("catboost", {"depth": 3, "one_hot_max_size": 2}, problem(TargetKind.BINARY))
    asked = itertools.count(1)
    reported = []
    ours.boost(
        ours.dataset(rows(300, 1, TargetKind.BINARY)),
        [0.2] * 20,
        lambda metrics: reported.append(metrics) or True,
        lambda: next(asked) < 3,
    )
    assert ours.n_rounds == 3
    assert reported == [], "the visit is not whole"
