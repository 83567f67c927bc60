import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from batchtrainingbooster.errors import ConfigError
from batchtrainingbooster.report.show import show_figure


def test_figure_of_a_run_without_a_folder_goes_to_a_temporary_one(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    caplog.set_level("INFO", "batchtrainingbooster")
    files = [show_figure(Figure(), None) for _ in range(2)]
    assert len(set(files)) == 2
    for file in files:
        assert file.parent.parent == tmp_path
        assert file.read_bytes().startswith(b"\x89PNG")
        assert str(file) in caplog.text


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_figure_in_the_run_folder_is_left_as_it_is(tmp_path, caplog, scheme):
    caplog.set_level("INFO", "batchtrainingbooster")
    there = tmp_path / "plots" / "learning_curve.png"
    there.parent.mkdir()
    there.write_text("already")
    assert show_figure(Figure(), f"{scheme}{tmp_path}") == there
    assert there.read_text() == "already"
    assert str(there) in caplog.text


def test_figure_that_the_run_folder_lacks_is_written_there(tmp_path):
    file = show_figure(Figure(), str(tmp_path / "run"))
    assert file == tmp_path / "run" / "plots" / "learning_curve.png"
    assert file.read_bytes().startswith(b"\x89PNG")


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


def test_a_remote_folder_is_refused():
    with pytest.raises(ConfigError, match="is no local folder"):
        show_figure(Figure(), "s3://bucket/run")
    assert not Path("s3:").exists()
