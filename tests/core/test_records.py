"""Histories, JSON, errors, logging."""

import inspect
import json
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrainingbooster import errors
from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.logger.logger import setup_logger


def row(n_rounds, **changes):
    values = {
        "visit": 0, "batch": 1, "epoch": 0, "round": n_rounds - 1, "n_rounds": n_rounds,
        "learning_rate": 0.1, "train": {"a": 1.0}, "valid": {"a": 2.0}, "seconds": 0.5,
    }  # fmt: skip
    return Row(**{**values, **changes})


def test_cut_marks_rounds_and_leaves_the_rest():
    history = History().extended([row(1), row(2), row(3)])
    cut = history.cut(1)
    assert [r.kept for r in cut] == [True, False, False]
    assert [r.kept for r in history] == [True] * 3
    longer = cut.extended([row(2, round=3), row(3, round=4)]).cut(2)
    assert [r.kept for r in longer] == [True, False, False, True, False]


def test_columns_of_a_history():
    table = History((row(1), row(2))).to_pandas()
    assert table["train_a"].tolist() == [1.0, 1.0]
    assert table["valid_a"].tolist() == [2.0, 2.0]
    assert table["round"].tolist() == [0, 1]
    assert "visit" in History().to_columns()


LABELS = st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False))


@given(st.lists(LABELS, max_size=5))
def test_labels_keep_their_type_through_json(labels):
    schema = TableSchema(
        (
            Feature("é", FeatureKind.CATEGORICAL, tuple(labels)),
            Feature("v", FeatureKind.ARRAY, (), 3),
        ),
        Target("y", TargetKind.MULTICLASS, "string", tuple(labels)),
    )
    text = json.dumps(converter.unstructure(schema))
    again = converter.structure(json.loads(text), TableSchema)
    assert again == schema
    assert [type(v) for v in again.target.classes] == [type(v) for v in labels]


def test_history_through_json():
    history = History((row(1), row(2, kept=False, valid={})))
    text = json.dumps(converter.unstructure(history))
    assert converter.structure(json.loads(text), History) == history


def classes():
    return [
        c for _, c in inspect.getmembers(errors, inspect.isclass)
        if issubclass(c, errors.BatchTrainingError)
    ]  # fmt: skip


@pytest.mark.parametrize("cls", classes())
def test_errors_survive_pickling(cls):
    error = pickle.loads(pickle.dumps(cls("what was found")))  # noqa: S301
    assert type(error) is cls
    assert str(error) == "what was found"


def test_docstring_draws_the_tree_as_it_is():
    for cls in classes():
        bases = [
            b.__name__ for b in cls.__bases__ if b not in (errors.BatchTrainingError, Exception)
        ]
        bases = [b for b in bases if b != "DataError"]
        drawn = f"{cls.__name__}({', '.join(bases)})" if bases else cls.__name__
        assert drawn in errors.__doc__


def test_missing_columns_are_named_with_the_nearest():
    error = errors.ColumnNotFoundError.of(["Wieght"], ["Weight", "Height"], "predict")
    assert isinstance(error, KeyError)
    assert str(error) == (
        "predict: column not found: 'Wieght' (did you mean 'Weight'?). "
        "Columns there: 'Weight', 'Height'"
    )
    many = errors.ColumnNotFoundError.of(["x"], [f"c{i}" for i in range(30)], "predict")
    assert str(many).endswith("'c19' and 10 more")


def test_hint_finds_names_that_differ_by_case():
    assert errors.did_you_mean("W", ["w", "other"]) == " (did you mean 'w'?)"
    assert errors.did_you_mean("zzz", ["w"]) == ""


def test_missing_dependency_names_the_install_line():
    error = errors.MissingDependencyError.of("matplotlib", "plots", "Learning curves")
    assert str(error) == (
        "Learning curves needs matplotlib, which is not installed: "
        "pip install 'batchtrainingbooster[plots]'"
    )


def test_logger_is_set_up_once_however_often(tmp_path):
    logger = logging.getLogger("batchtrainingbooster")
    before = list(logger.handlers), logger.level
    try:
        setup_logger("INFO", tmp_path / "deep" / "first.log")
        setup_logger("INFO", tmp_path / "second.log")
        assert len(logger.handlers) == len(before[0]) + 2
        logging.getLogger("batchtrainingbooster.core.loop").info("Visit %d", 3)
        logging.getLogger("batchtrainingbooster.core.loop").debug("hidden")
    finally:
        for handler in set(logger.handlers) - set(before[0]):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(before[1])
    (line,) = (tmp_path / "second.log").read_text().splitlines()
    assert line.endswith("INFO     Visit 3")
    assert (tmp_path / "deep" / "first.log").read_text() == ""
