"""What users hand to predict is read right, or refused by name; no Spark and no booster."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.errors import ColumnNotFoundError, DataError
from batchtrainingbooster.model.scoring import _SCORE_BYTES, _pieces
from batchtrainingbooster.model.tables import feature_matrix

SCHEMA = TableSchema(
    (
        Feature("0", FeatureKind.NUMERIC),
        Feature("c", FeatureKind.CATEGORICAL, ("", "NaN", "null", "\U0001f600")),
    ),
    Target("y", TargetKind.REGRESSION, "double"),
)


def test_names_need_not_be_texts():
    table = pd.DataFrame({0: [1.5, 2.5], "c": ["", None], 7: [object(), object()]})
    np.testing.assert_array_equal(feature_matrix(SCHEMA, table), [[1.5, 0], [2.5, np.nan]])


def test_text_for_nothing_is_a_category_and_nothing_is_missing():
    column = ["null", "NaN", "", None, "\U0001f600", np.nan]
    found = feature_matrix(SCHEMA, pd.DataFrame({"0": 1.0, "c": pd.Series(column, dtype=object)}))
    np.testing.assert_array_equal(found[:, 1], [2, 1, 0, np.nan, 3, np.nan])


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (pd.DataFrame([[1.0, 2.0, "x"]], columns=["0", "0", "c"]), DataError,
         "predict: 2 columns are called '0'; drop or rename"),
        (pd.DataFrame([[1.0, 2.0, "x"]], columns=["0", 0, "c"]), DataError,
         "predict: 2 columns are called '0'"),
        (pa.table([[1.0], [2.0], ["x"]], names=["0", "c", "c"]), DataError,
         "predict: 2 columns are called 'c'"),
        (pd.DataFrame({"0": [1, "a"], "c": "x"}), DataError, "'0' holds values of several types"),
        (pd.DataFrame({"0": [2**70], "c": "x"}, dtype=object), DataError, "'0' holds values of"),
        (pd.DataFrame({"0": [1j], "c": "x"}), DataError, "'0' holds values of .* cannot be read"),
        (pd.DataFrame({"0": pd.to_datetime(["2020-01-01"]), "c": "x"}), DataError,
         "'0' is timestamp.*, need numbers"),
        (pd.DataFrame({"0": [1.0], "c": [["x"]]}), DataError, "'c' is list<.*its categories are"),
        (pd.DataFrame({"c": ["x"]}), ColumnNotFoundError, "predict: column not found: '0'"),
        ({"0": [1.0], "c": ["x"]}, DataError, "got builtins.dict; need a pandas DataFrame"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_read_are_named(table, error, message):
    with pytest.raises(error, match=message):
        feature_matrix(SCHEMA, table)


def test_scores_of_many_classes_go_to_spark_in_pieces():
    batch = pa.RecordBatch.from_pydict({"row": np.arange(10_000)})
    for n_classes, n_pieces in ((2, 1), (2_000, 20), (10**9, 10_000)):
        pieces = list(_pieces(iter([batch, batch.slice(0, 0)]), n_classes))
        assert len(pieces) == n_pieces
        assert max(len(piece) for piece in pieces) * 16 * n_classes <= max(
            _SCORE_BYTES, 16 * n_classes
        )
        assert pa.Table.from_batches(pieces)["row"].to_pylist() == list(range(10_000))
