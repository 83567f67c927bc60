"""What is trained in classic Spark and over Spark Connect, to the same bytes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from batchtrainingbooster import CatBoostTrainer, LightGBMTrainer, XGBoostTrainer

N = 1_500
# Numbers, of which some are missing, under names that need care.
NUMBERS = ("x.0", "x `1`", "prix €")
FEATURES = [*NUMBERS, "color", "vector"]

# Trainer, target, settings of the booster, settings of the training.
CASES = {
    "xgboost, texts, weights, held-out rows": (
        XGBoostTrainer, "three", {"eval_metric": "mlogloss"},
        {"weight_column": "weight", "validation_fraction": 0.2},
    ),
    "xgboost, regression, validation rows": (XGBoostTrainer, "number", {}, {}),
    "xgboost, ranking": (
        XGBoostTrainer, "relevance", {"objective": "rank:ndcg"},
        {"group_column": "query", "validation_fraction": 0.2},
    ),
    "xgboost, external memory": (
        XGBoostTrainer, "binary", {},
        {"strategy": "external_memory", "validation_fraction": 0.2},
    ),
    "catboost": (CatBoostTrainer, "three", {}, {"validation_fraction": 0.2}),
    "lightgbm": (LightGBMTrainer, "binary", {}, {"validation_fraction": 0.2}),
}  # fmt: skip


def write_rows(path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 3))
    color = rng.choice(["red", "green", "blue"], N)
    score = x[:, 0] + x[:, 1] * (color == "red") + 0.4 * rng.standard_normal(N)
    columns = {name: pa.array(x[:, i], mask=rng.random(N) < 0.05) for i, name in enumerate(NUMBERS)}
    columns["color"] = pa.array(color, mask=rng.random(N) < 0.05)
    columns["v0"], columns["v1"] = rng.standard_normal(N), x[:, 2] * score
    columns["three"] = np.array(["low", "mid", "high"])[np.digitize(score, [-0.7, 0.7])]
    columns["binary"] = score > 0
    columns["number"] = np.exp(score / 2)
    columns["relevance"] = np.digitize(score, [-0.7, 0.7])
    columns["query"] = np.arange(N) // 10
    columns["weight"] = rng.random(N) + 0.1
    pq.write_table(pa.table(columns), path, row_group_size=500)


def frame_of(spark, path):
    """The rows, with a vector among their columns."""
    from pyspark.ml.functions import array_to_vector

    rows = spark.read.parquet(str(path))
    return rows.withColumn("vector", array_to_vector(F.array("v0", "v1")))


def fit(frame, case, **training):
    trainer, target, config_model, config_training = CASES[case]
    valid = None
    if "validation_fraction" not in config_training:
        frame, valid = frame.where("query >= 30"), frame.where("query < 30")
    return trainer().fit(
        frame,
        valid,
        target,
        {"n_estimators": 4, "max_depth": 3, **config_model},
        {"num_batches": 3, "feature_columns": FEATURES, **config_training, **training},
        {"initial_lr": 0.3, "decay_rate": 0.9},
    )
