"""Histories, JSON, errors, logging."""

import builtins
import inspect
import json
import pickle
import re
import sys

import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrainingbooster import errors
from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.core.stopping import Best, StopReason
from batchtrainingbooster.core.table import Feature, FeatureKind, TableSchema, Target, TargetKind
from batchtrainingbooster.model.boosted_model import ModelInfo


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


def test_cut_to_the_whole_length_or_to_nothing():
    history = History().extended([row(1), row(2)])
    assert history.cut(2) == history.cut(99) == history
    assert [r.kept for r in history.cut(0)] == [False, False]


def test_history_is_a_sequence_of_rounds():
    history = History().extended([row(1)]).extended([row(2)])
    assert len(history) == 2
    assert list(history) == [row(1), row(2)]
    assert len(History()) == 0


def test_columns_of_a_history():
    rounds = row(1, train={"a": 1.0, "b": 3.0}), row(2, train={"b": 4.0, "a": 5.0}, batch=7)
    columns = History(rounds).cut(1).to_columns()
    assert columns == {
        "visit": [0, 0],
        "batch": [1, 7],
        "epoch": [0, 0],
        "round": [0, 1],
        "n_rounds": [1, 2],
        "learning_rate": [0.1, 0.1],
        "train_a": [1.0, 5.0],
        "train_b": [3.0, 4.0],
        "valid_a": [2.0, 2.0],
        "seconds": [0.5, 0.5],
        "kept": [True, False],
    }
    table = History(rounds).cut(1).to_pandas()
    assert table.to_dict("list") == columns
    assert list(table) == list(columns)
    assert table["kept"].dtype == bool


def test_empty_history_has_its_columns():
    table = History().to_pandas()
    assert len(table) == 0
    assert list(table) == [
        "visit", "batch", "epoch", "round", "n_rounds", "learning_rate", "seconds", "kept",
    ]  # fmt: skip


def test_history_without_pandas_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(errors.MissingDependencyError, match=r"to_pandas needs pandas.*\[spark\]"):
        History().to_pandas()


SCHEMA = TableSchema(
    (
        Feature("color", FeatureKind.CATEGORICAL, ("blue", "red", "white")),
        Feature("v", FeatureKind.ARRAY, (), 2),
        Feature("age", FeatureKind.NUMERIC),
    ),
    Target("y", TargetKind.BINARY, "boolean", (False, True)),
)


def test_form_of_a_schema_in_files_stays():
    assert converter.unstructure(SCHEMA) == {
        "features": [
            {
                "name": "color",
                "kind": "categorical",
                "categories": ["blue", "red", "white"],
                "width": 1,
            },
            {"name": "v", "kind": "array", "categories": [], "width": 2},
            {"name": "age", "kind": "numeric", "categories": [], "width": 1},
        ],
        "target": {
            "name": "y",
            "kind": "binary",
            "spark_type": "boolean",
            "classes": [False, True],
        },
    }
    assert [*TargetKind] == ["binary", "multiclass", "regression", "ranking"]
    assert [*StopReason] == ["completed", "patience", "callback", "interrupted", "failed"]


def test_schema_spreads_arrays_over_columns():
    assert SCHEMA.n_columns == 4
    assert SCHEMA.column_names == ("color", "v_0", "v_1", "age")
    assert SCHEMA.cardinalities == (3, 0, 0, 0)
    assert Feature("v", FeatureKind.ARRAY, (), 1).column_names == ("v_0",)


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


@pytest.mark.parametrize("label", [None, [1], {"a": 1}])
def test_what_is_no_label_is_refused(label):
    content = converter.unstructure(SCHEMA)
    content["target"]["classes"] = [label]
    with pytest.raises(cattrs.ClassValidationError) as caught:
        converter.structure(content, TableSchema)
    (problem,) = cattrs.transform_error(caught.value)
    assert problem.endswith("$.target.classes[0]")


def test_unknown_keys_are_refused():
    content = {**converter.unstructure(SCHEMA), "from_the_future": 1}
    with pytest.raises(cattrs.ClassValidationError) as caught:
        converter.structure(content, TableSchema)
    assert "from_the_future" in cattrs.transform_error(caught.value)[0]


@pytest.mark.parametrize("best", [None, Best(0.25, 3, 7, 8), Best(0.25, None, None, 8)])
@pytest.mark.parametrize("reason", [None, *StopReason])
def test_model_info_through_json(best, reason):
    info = ModelInfo(
        backend="xgboost",
        backend_version="3.2.0",
        objective="binary:logistic",
        link="sigmoid",
        metric="logloss",
        maximize=False,
        schema=SCHEMA,
        n_rounds=8,
        best=best,
        stop_reason=reason,
        config={"config_model": {"eta": 0.1, "n": 1, "flag": True, "none": None, "list": [1]}},
    )
    again = converter.structure(json.loads(json.dumps(converter.unstructure(info))), ModelInfo)
    assert again == info
    assert type(again.stop_reason) is type(reason)
    assert repr(again.config) == repr(info.config)


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


def drawn_tree():
    """Name, parent and other bases of each class in the module's picture."""
    lines = re.findall(r"^    ([│├└─ ]*)(\w+)(?:\((\w+)\))?", errors.__doc__, re.MULTILINE)
    path = []
    for prefix, name, other in lines:
        del path[len(prefix) // 4 :]
        yield name, path[-1] if path else "Exception", other
        path.append(name)


def test_docstring_draws_the_tree_as_it_is():
    drawn = list(drawn_tree())
    assert {name for name, _, _ in drawn} == {cls.__name__ for cls in classes()}
    assert len(drawn) == len(classes())
    for name, parent, other in drawn:
        bases = [base.__name__ for base in getattr(errors, name).__bases__]
        assert bases == [parent, other] if other else [parent]
        assert not other or issubclass(getattr(builtins, other), Exception)


def test_one_problem_stands_in_the_line_and_more_below_it():
    assert str(errors.ConfigError.of("here", ["a: bad"])) == "here: a: bad"
    assert str(errors.ConfigError.of("here", ["a", "b"])) == "here: 2 problems\n  a\n  b"


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigError.of("here", ["a", "b"]),
        errors.ColumnNotFoundError.of(["a"], ["b"], "here"),
        errors.MissingDependencyError.of("m", "e", "p"),
    ],
)
def test_worded_errors_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_missing_columns_are_named_with_the_nearest():
    error = errors.ColumnNotFoundError.of(["Wieght"], ["Weight", "Height"], "predict")
    assert isinstance(error, KeyError)
    assert str(error) == (
        "predict: column not found: 'Wieght' (did you mean 'Weight'?). "
        "Columns there: 'Weight', 'Height'"
    )
    many = errors.ColumnNotFoundError.of(["x"], [f"c{i}" for i in range(30)], "predict")
    assert str(many).endswith("'c19' and 10 more")
    few = errors.ColumnNotFoundError.of(["x", "b1"], [f"b{i}" for i in range(20)], "fit")
    assert "not found: 'x'; 'b1' (did you mean 'b1'?). " in str(few)
    assert str(few).endswith("'b18', 'b19'")
    one_more = errors.ColumnNotFoundError.of(["x"], [f"b{i}" for i in range(21)], "fit")
    assert str(one_more).endswith("'b19' and 1 more")
    assert str(errors.ColumnNotFoundError()) == ""


def test_hint_finds_names_that_differ_by_case():
    assert errors.did_you_mean("W", ["w", "other"]) == " (did you mean 'w'?)"
    assert errors.did_you_mean("zzz", ["w"]) == ""


def test_missing_dependency_names_the_install_line():
    error = errors.MissingDependencyError.of("matplotlib", "plots", "Learning curves")
    assert str(error) == (
        "Learning curves needs matplotlib, which is not installed: "
        "pip install 'batchtrainingbooster[plots]'"
    )
