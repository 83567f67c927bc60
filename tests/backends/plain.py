"""Each booster as its own users train it, batch after batch, for comparison with ours."""

import catboost
import lightgbm as lgb
import numpy as np
import xgboost as xgb

from batchtrainingbooster.backends.catboost_data import pool_of
from batchtrainingbooster.backends.lightgbm_parameters import base_scores

NAMES = ["a", "b", "c", "d"]


class XGBoost:
    """``xgb.train`` on the first batch, ``update`` on the others."""

    name = "xgboost"
    sampling = {"subsample": 0.7, "colsample_bynode": 0.7}  # noqa: RUF012
    small = {"max_depth": 3}  # noqa: RUF012
    metric = "mlogloss"

    @staticmethod
    def train(config, visits, reference):
        params = {
            "objective": "multi:softprob",
            "num_class": 3,
            "seed": 3,
            "seed_per_iteration": True,
            "base_score": [float(np.log(share)) for share in (0.5, 0.25, 0.25)],
            **config,
        }
        booster, cuts = None, XGBoost.data(reference)
        for batch, rates in visits:
            data = XGBoost.data(batch, ref=cuts)
            if booster is None:
                booster = xgb.Booster(params, cache=[data])
            else:
                booster = xgb.Booster(params, model_file=bytearray(booster.save_raw("ubj")))
            for rate in rates:
                booster.set_param({"eta": rate})
                booster.update(data, booster.num_boosted_rounds())
        return booster

    @staticmethod
    def data(batch, **options):
        types = ["float"] * 3 + ["c"]
        return xgb.QuantileDMatrix(
            batch.features, label=batch.label, weight=batch.weight, feature_names=NAMES,
            feature_types=types, enable_categorical=True, **options,
        )  # fmt: skip

    @staticmethod
    def margins(booster, features):
        return booster.inplace_predict(features, predict_type="margin")


class LightGBM:
    """``lgb.train`` with ``init_model``, and one common ``reference``."""

    name = "lightgbm"
    sampling = {"bagging_fraction": 0.7, "bagging_freq": 1, "feature_fraction": 0.6}  # noqa: RUF012
    small = {"max_depth": 3, "min_data_in_leaf": 5}  # noqa: RUF012
    metric = "multi_logloss"

    @staticmethod
    def train(config, visits, reference):
        params = {
            "objective": "multiclass", "num_class": 3, "verbosity": -1, "deterministic": True,
            "force_row_wise": True, "lambda_l2": 1.0, "feature_pre_filter": False, **config,
        }  # fmt: skip
        booster, bins = None, LightGBM.data(reference, params).construct()
        for batch, rates in visits:
            # The plain library takes the mean of the first batch; ours is that of all rows.
            first = {"boost_from_average": True} if booster is None else {}
            seed = 3 + (booster.current_iteration() if booster else 0)
            booster = lgb.train(
                {**params, **first, "seed": seed},
                LightGBM.data(batch, params, reference=bins),
                len(rates),
                init_model=booster,
                callbacks=[lgb.reset_parameter(learning_rate=list(rates))],
            )
        return booster

    @staticmethod
    def data(batch, params, **options):
        return lgb.Dataset(
            batch.features, batch.label, weight=batch.weight, feature_name=NAMES,
            categorical_feature=[3], params=params, **options,
        )  # fmt: skip

    @staticmethod
    def margins(booster, features):
        return booster.predict(features, raw_score=True)


class CatBoost:
    """``fit`` with ``init_model``; one ``fit`` for each learning rate."""

    name = "catboost"
    sampling = {"bootstrap_type": "Bernoulli", "subsample": 0.7, "rsm": 0.6}  # noqa: RUF012
    small = {"depth": 3}  # noqa: RUF012
    metric = "MultiClass"

    @staticmethod
    def train(config, visits, reference):
        model = None
        for batch, rates in visits:
            rounds = {rate: rates.count(rate) for rate in rates}
            for rate, n in rounds.items():
                model = catboost.CatBoost(
                    {
                        "loss_function": "MultiClass",
                        "class_names": [0, 1, 2],
                        "verbose": False,
                        "allow_writing_files": False,
                        "leaf_estimation_iterations": 1,
                        "one_hot_max_size": 255,
                        "learning_rate": rate,
                        "iterations": n,
                        "random_seed": 3 + (model.tree_count_ if model else 0),
                        "thread_count": 1,
                        **{k: v for k, v in config.items() if k != "n_jobs"},
                    }
                ).fit(pool_of(batch, NAMES, (0, 0, 0, 5)), init_model=model)
        return model

    @staticmethod
    def margins(model, features):
        from batchtrainingbooster.backends.catboost_data import table_of

        return model.predict(table_of(features, NAMES, (0, 0, 0, 5)))


PLAIN = {plain.name: plain for plain in (XGBoost, LightGBM, CatBoost)}

__all__ = ["NAMES", "PLAIN", "base_scores"]
