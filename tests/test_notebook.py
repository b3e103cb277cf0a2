"""docs/notebooks.md, cell by cell, in a real Jupyter kernel."""

import re
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

LONG, SHORT = '"rounds=300", "eval.every=100"', '"rounds=30", "eval.every=10", "eval.samples=200"'
PAGE = Path(__file__).parents[1] / "docs" / "notebooks.md"


@pytest.fixture
def played(tmp_path, monkeypatch):
    for needed in ("nbclient", "ipykernel", "ipywidgets"):
        pytest.importorskip(needed, reason="needs the dev extra")
    import nbformat
    from ipykernel.kernelspec import install
    from nbclient import NotebookClient

    install(prefix=str(tmp_path), kernel_name="here")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    assert sys.prefix in (tmp_path / "share" / "jupyter" / "kernels" / "here" / "kernel.json").read_text()
    cells = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(cells) == 4
    assert LONG in cells[0]
    cells[0] = cells[0].replace(LONG, SHORT)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in [*cells, "result.grid()"]])
    NotebookClient(notebook, timeout=400, kernel_name="here", resources={"metadata": {"path": str(tmp_path)}}).execute()
    return notebook


@pytest.mark.filterwarnings("default")  # of Jupyter's own
def test_the_page_runs_shows_progress_and_draws(played, tmp_path):
    widgets = played.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    shown = str([widget["state"]["outputs"] for widget in widgets if widget["model_name"] == "OutputModel"])
    assert "30/30" in shown, "the progress bar at its end"
    assert "FD-clf" in shown
    (last,) = played.cells[-1].outputs
    assert "image/png" in last["data"]
    assert (tmp_path / "runs" / "first" / "report.html").exists()
