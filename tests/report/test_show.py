# ruff: noqa: E501 - rows are drawn up as a table
import sys
from types import SimpleNamespace

from matplotlib.figure import Figure

from batchtrainingbooster.core.history import History, Row
from batchtrainingbooster.report.plots import learning_curve
from batchtrainingbooster.report.show import show_figure


def test_figure_is_written_and_logged_outside_a_notebook(tmp_path, caplog):
    caplog.set_level("INFO", "batchtrainingbooster")
    file = show_figure(Figure(), str(tmp_path / "deep" / "run"))
    assert file == tmp_path / "deep" / "run" / "learning_curve.png"
    assert file.read_bytes().startswith(b"\x89PNG")
    assert str(file) in caplog.text


def test_figure_is_displayed_in_a_notebook(tmp_path, monkeypatch):
    shown, figure = [], Figure()  # which looks at IPython itself
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    module = SimpleNamespace(
        get_ipython=lambda: shell, display=SimpleNamespace(display=shown.append)
    )
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", module.display)
    assert show_figure(figure, str(tmp_path)) is None
    assert shown == [figure]
    assert list(tmp_path.iterdir()) == []


def rows(valid):
    return [
        Row(visit, visit, 0, 2 * visit + i, 2 * visit + i + 1, 0.1 / (visit + 1),
            {"auc": 0.5, "logloss": 0.7 - 0.1 * i}, {"auc": 0.5, "logloss": 0.8} if valid else {}, 0.1)
        for visit in range(3)
        for i in range(2)
    ]  # fmt: skip


def test_curve_has_a_line_at_each_batch_boundary():
    upper, lower = learning_curve(History(tuple(rows(valid=True))), "logloss", None).axes
    for axes in (upper, lower):
        boundaries = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
        assert boundaries == [0.5, 2.5, 4.5]
    assert upper.get_ylabel() == "logloss"
    assert [text.get_text() for text in upper.texts] == ["batch 1", "batch 2", "batch 3"]


def test_curve_is_drawn_without_validation():
    upper, _ = learning_curve(History(tuple(rows(valid=False))), "logloss", None).axes
    assert upper.get_legend_handles_labels()[1] == ["train (batch)"]
