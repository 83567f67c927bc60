"""Ranking from Spark to scores, with every booster."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score

from batchtrainingbooster import CatBoostTrainer, LightGBMTrainer, XGBoostTrainer

FEATURES = ["freshness", "clicks", "source"]
METRICS = {XGBoostTrainer: "ndcg@5", CatBoostTrainer: "NDCG:top=5", LightGBMTrainer: "ndcg@5"}
N_QUERIES, N_VALID = 150, 40


@pytest.fixture(scope="module")
def table():
    """Queries of 4 to 15 hits, in no order."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(4, 16, N_QUERIES + N_VALID)
    query = np.repeat(np.arange(len(sizes)), sizes)
    n = len(query)
    hits = pd.DataFrame(
        {
            "query": [f"q{i}" for i in query],
            "number": query,
            "freshness": rng.standard_normal(n),
            "clicks": rng.standard_normal(n),
            "source": rng.choice(["web", "news"], n),
        }
    )
    score = hits["freshness"] + hits["clicks"] * (hits["source"] == "web")
    hits["grade"] = np.clip(np.round(score + 0.3 * rng.standard_normal(n) + 1), 0, 4)
    return hits.sample(frac=1, random_state=0)


@pytest.fixture(scope="module")
def frames(spark, table):
    is_train = table["number"] < N_QUERIES
    return [spark.createDataFrame(part).cache() for part in (table[is_train], table[~is_train])]


@pytest.fixture(params=METRICS, ids=lambda trainer: trainer.backend)
def trainer(request):
    return request.param()


def fit(trainer, train, valid, group="query", model=None, **training):
    return trainer.fit(
        train,
        valid,
        "grade",
        {
            "n_estimators": 15,
            "max_depth": 3,
            "eval_metric": METRICS[type(trainer)],
            **(model or {}),
        },
        {"num_batches": 3, "feature_columns": FEATURES, "group_column": group, **training},
        {"kind": "constant", "initial_lr": 0.2},
    )


def mean_ndcg(hits, scores):
    """Of whole queries, with the gains of each booster: the order is what counts."""
    hits = hits.assign(score=scores)
    values = [
        ndcg_score([own["grade"]], [own["score"]], k=5)
        for _, own in hits.groupby("query")
        if own["grade"].max() > 0
    ]
    return np.mean(values)


def test_ranks_rows_of_queries_that_it_has_not_seen(trainer, frames, table):
    model = fit(trainer, *frames)
    valid = table[table["number"] >= N_QUERIES]
    scores = model.predict(valid)
    assert mean_ndcg(valid, scores) > 0.9 > mean_ndcg(valid, np.zeros(len(valid)))
    assert model.info.best.value > 0.9
    assert model.info.maximize
    first = next(iter(model.history)).valid
    assert model.info.best.value > first[model.info.metric]
    assert np.array_equal(scores, model.margins(valid)[:, 0].astype(np.float64))
    scored = model.transform(frames[1]).toPandas()
    assert sorted(scored["prediction"]) == sorted(scores)


def test_metric_is_that_of_whole_queries(frames, table):
    """XGBoost's gains are 2**grade - 1."""
    model = fit(XGBoostTrainer(), *frames)
    valid = table[table["number"] >= N_QUERIES].assign(score=model.predict)
    values = []
    for _, own in valid.groupby("query"):
        gains = 2 ** own["grade"].to_numpy() - 1
        discounts = 1 / np.log2(np.arange(2, 7))
        by_score = gains[np.argsort(-own["score"].to_numpy(), kind="stable")][:5]
        ideal = np.sort(gains)[::-1][:5]
        best = (ideal * discounts[: len(ideal)]).sum()
        values.append((by_score * discounts[: len(by_score)]).sum() / best if best else 1.0)
    assert model.info.best.value == pytest.approx(np.mean(values), abs=2e-3)


def test_whole_queries_are_held_out(trainer, frames, table):
    model = fit(trainer, frames[0], None, validation_fraction=0.25, num_batches=2)
    manifest = trainer.manifest
    rows = (table["number"] < N_QUERIES).sum()
    assert manifest.validation.rows == pytest.approx(rows / 4, abs=16)
    assert sum(part.rows for part in manifest.batches) == rows - manifest.validation.rows
    assert model.info.best.value > 0.8


def test_numbers_name_queries_too(trainer, frames):
    by_name = fit(trainer, *frames)
    by_number = fit(trainer, *frames, group="number")
    assert by_number.info.best.value == pytest.approx(by_name.info.best.value, abs=0.05)


def test_default_objective_and_metric_are_those_of_ranking(trainer, frames):
    model = fit(trainer, *frames, model={"eval_metric": None})
    assert model.info.objective in ("rank:ndcg", "YetiRank", "lambdarank")
    assert model.info.metric.lower().startswith("ndcg")
    assert model.classes == ()


def test_earlier_ranking_model_is_continued(trainer, frames):
    earlier = fit(trainer, *frames)
    later = fit(trainer, *frames, init_model=earlier, seed=5)
    assert later.info.n_rounds >= earlier.info.n_rounds
    assert later.info.best.value >= earlier.info.best.value
