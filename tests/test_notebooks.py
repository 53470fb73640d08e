"""The notebooks run from top to bottom, on small sizes where they train."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat isn't installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient isn't installed")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"

# What the Jupyter libraries deprecate of each other is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

# Without code invariance there is less to compile.
SMALL = """
from infogan_jax.config import Objective

small = replace(experiments.DIGITS.train, steps=20, steps_per_call=10, checkpoint_every=10, sample_every=10)
config = replace(experiments.DIGITS, train=small, objective=Objective())
"""


@pytest.fixture
def run(monkeypatch, tmp_path, record_property):
    """A function of a notebook's name, and of what is added to its settings: its cells, which were run."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # One device, and programs that are compiled in a hurry.
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

    def executed(name, settings=""):
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        for cell in notebook.cells:
            if "settings" in cell.metadata.get("tags", []):
                cell.source += settings
        client = nbclient.NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        )
        client.execute()
        shown = sum(len(cell.get("outputs", [])) for cell in notebook.cells)
        record_property(name, f"{len(notebook.cells)} cells executed, {shown} outputs")
        return notebook.cells

    return executed


def shown(cells, kind):
    """What the cells show of a MIME type."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


def test_the_losses(run):
    cells = run("losses.ipynb")
    assert len(shown(cells, "image/png")) == 5
    said = "".join(output.text for cell in cells for output in cell.get("outputs", []) if "text" in output)
    assert "I(c; x) = 1.802" in said


def test_infogan(run, tmp_path):
    cells = run("infogan_mnist.ipynb", SMALL)
    assert (tmp_path / "runs/digits-s0/report.html").exists()
    # The newest samples, the curves, and the sheet of codes.
    assert len(shown(cells, "image/png")) == 3
    (page,) = [html for html in shown(cells, "text/html") if "<iframe" in html]
    assert "data:text/html;base64," in page
    said = "".join(output.text for cell in cells for output in cell.get("outputs", []) if "text" in output)
    assert "step 20 of 20" in said and "categories read as they were set" in said


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
