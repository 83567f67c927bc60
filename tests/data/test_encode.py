import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.data.encode import category_codes, fill_matrix, to_float32
from batchtrainingbooster.errors import ColumnNotFoundError, DataError
from batchtrainingbooster.model.tables import feature_matrix


def chunks(*parts, kind=None):
    return pa.chunked_array([pa.array(part, kind) for part in parts])


def categorical(*categories):
    return Feature("c", FeatureKind.CATEGORICAL, categories)


@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "", "é", "unseen"]))))
def test_codes_are_positions_in_the_dictionary(values):
    dictionary = ("", "a", "b", "é")
    expected = [dictionary.index(v) if v in dictionary else np.nan for v in values]
    plain = pa.chunked_array([pa.array(values, pa.string())])
    for column in (plain, plain.dictionary_encode()):
        codes, n_unseen = category_codes(column, categorical(*dictionary))
        np.testing.assert_array_equal(codes, np.array(expected, np.float32))
        assert n_unseen == values.count("unseen")


def test_chunks_with_dictionaries_of_their_own_get_the_same_codes():
    column = pa.chunked_array(
        [pa.array(["b", "a"]).dictionary_encode(), pa.array(["a", None, "z"]).dictionary_encode()]
    )
    codes, n_unseen = category_codes(column, categorical("a", "b"))
    np.testing.assert_array_equal(codes, [1, 0, 0, np.nan, np.nan])
    assert n_unseen == 1


@pytest.mark.parametrize(
    ("values", "categories"),
    [
        ([3, None, 1], (1, 2, 3)),
        ([3.0, float("nan"), 1.0], (1, 2, 3)),
        ([True, None, False], (False, True)),
    ],
)
def test_categories_may_be_integers_or_booleans(values, categories):
    column = pa.chunked_array([pa.array(values, from_pandas=True)])
    codes, n_unseen = category_codes(column, categorical(*categories))
    np.testing.assert_array_equal(codes, [len(categories) - 1, np.nan, 0])
    assert n_unseen == 0


def test_categories_of_another_type_are_refused():
    with pytest.raises(DataError, match="'c' is string, but its categories are int64"):
        category_codes(chunks(["red"]), categorical(1, 2))


def test_column_of_nulls_is_missing():
    codes, n_unseen = category_codes(pa.chunked_array([pa.nulls(3)]), categorical("a"))
    assert np.isnan(codes).all()
    assert n_unseen == 0


@pytest.mark.parametrize(
    "column",
    [
        chunks([1, None], [0], kind=pa.int64()),
        chunks([1.0, None], [0.0], kind=pa.float64()),
        chunks([True, None], [False]),
        chunks([1, None], [0], kind=pa.decimal128(10, 2)),
    ],
)
def test_numbers_of_any_type_become_float32(column):
    found = to_float32(column, "a")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1, np.nan, 0])


def test_text_is_no_number():
    with pytest.raises(DataError, match="'a' is string, need numbers"):
        to_float32(chunks(["red"]), "a")


def test_arrays_are_spread_and_null_ones_are_missing():
    feature = Feature("v", FeatureKind.ARRAY, width=2)
    matrix = np.empty((4, 2), np.float32)
    column = chunks([[1.0, 2.0], None], [[3.0, None], [4.0, 5.0]])
    fill_matrix(matrix, slice(None), [feature], [column])
    np.testing.assert_array_equal(matrix, [[1, 2], [np.nan] * 2, [3, np.nan], [4, 5]])
    with pytest.raises(DataError, match=r"'v' has arrays of lengths \[1, 2\], need 2"):
        fill_matrix(matrix[:2], slice(None), [feature], [chunks([[1.0, 2.0], [3.0]])])


SCHEMA = TableSchema(
    (Feature("x", FeatureKind.NUMERIC), categorical("p", "q")),
    Target("y", TargetKind.BINARY, "string", ("n", "y")),
)


def test_pandas_and_arrow_give_the_same_matrix(caplog):
    frame = pd.DataFrame({"c": ["q", "p", "r"], "other": [object()] * 3, "x": [1, 2, 3]})
    found = feature_matrix(SCHEMA, frame)
    np.testing.assert_array_equal(found, [[1, 1], [2, 0], [3, np.nan]])
    assert found.flags.f_contiguous
    assert "Column 'c': 1 values are in no training row" in caplog.text
    as_category = frame.assign(c=frame["c"].astype("category"))
    table = pa.table({"c": ["q", "p", "r"], "x": [1, 2, 3]})
    caplog.set_level(logging.ERROR)
    for other in (as_category, table, table.to_batches()[0]):
        np.testing.assert_array_equal(feature_matrix(SCHEMA, other), found)


def test_missing_feature_is_named():
    with pytest.raises(ColumnNotFoundError, match=r"predict: column not found: 'x' .*'c', 'xx'"):
        feature_matrix(SCHEMA, pd.DataFrame({"c": ["p"], "xx": [1]}))
