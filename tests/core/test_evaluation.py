"""How the final model is judged on validation rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from batchtrainingbooster.core import evaluation
from batchtrainingbooster.core.evaluation import Evaluation, of_classes, of_values


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_counts_and_scores_are_those_of_scikit_learn(pairs):
    true, predicted = np.array(pairs).T
    found = of_classes(true, predicted, 4, 99)
    assert (found.rows, found.of_rows) == (len(pairs), 99)
    assert np.array_equal(found.confusion, confusion_matrix(true, predicted, labels=range(4)))
    assert found.accuracy == pytest.approx((true == predicted).mean())
    expected = precision_recall_fscore_support(
        true, predicted, labels=range(4), zero_division=np.nan
    )
    for i, scores in enumerate(found.by_class()):
        ours = (scores.precision, scores.recall, scores.f1, scores.support)
        for mine, theirs in zip(ours, (part[i] for part in expected), strict=True):
            assert (np.nan if mine is None else mine) == pytest.approx(theirs, nan_ok=True)


def test_counts_of_classes_follow_from_the_table():
    table = ((3, 1), (2, 4))
    assert Evaluation(rows=10, of_rows=10, confusion=table).class_counts == ((3, 5, 4), (4, 5, 6))


def test_of_many_classes_no_table_is_kept():
    n = evaluation.MAX_CLASSES + 1
    found = of_classes(np.arange(n), np.arange(n)[::-1], n, n)
    assert found.confusion == ()
    assert len(found.class_counts) == n
    assert found.accuracy == pytest.approx(1 / n)
    assert found.by_class()[n // 2].recall == 1.0


@pytest.mark.parametrize("target", [[1e18], [5.0, 5.0], [-1e300, 1e300], [1e-320, 2e-320]])
def test_residuals_of_any_size_are_counted_or_left_out(target):
    found = of_values(np.array(target), np.zeros(len(target)), len(target))
    assert len(found.residual_edges) in (0, evaluation.N_BINS + 1)
    assert len(found.residual_quantiles) == len(evaluation.QUANTILES)
    assert found.mean_absolute_error == pytest.approx(np.mean(np.abs(target)))


def test_errors_are_not_said_where_a_prediction_is_no_number():
    found = of_values(np.array([1.0, 2.0, 400.0]), np.array([1.0, 1.0, np.inf]), 3)
    assert (found.rows, found.r2, found.root_mean_squared_error) == (3, None, None)
    assert found.residual_quantiles[0] == 0.0
    nothing = of_values(np.array([1.0]), np.array([np.nan]), 1)
    assert (nothing.residual_quantiles, nothing.mean_absolute_error) == ((), None)


def test_a_constant_target_has_no_r2():
    found = of_values(np.full(4, 2.0), np.array([1.0, 2.0, 3.0, 2.0]), 4)
    assert found.r2 is None
    assert found.mean_absolute_error == 0.5
