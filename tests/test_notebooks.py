"""The notebooks run from top to bottom, on small sizes where they train."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from infogan_jax import experiments
from infogan_jax.data import sources
from infogan_jax.errors import UserError

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
    assert "srcdoc=" in page and "Explorer of the codes" in page
    # The line below the training was last shown at its end.
    assert any("step 20 of 20" in html for html in shown(cells, "text/html"))
    said = "".join(output.text for cell in cells for output in cell.get("outputs", []) if "text" in output)
    assert "step 20 of 20" in said and "categories read as they were set" in said


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def source(name, cell_id):
    """A cell's text."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    return next(cell.source for cell in notebook.cells if cell.id == cell_id)


@pytest.mark.parametrize("name", ["infogan_mnist.ipynb", "losses.ipynb"])
def test_where_it_is_not_installed_it_says_what_to_do(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    install = source(name, "code-01")
    with pytest.raises(RuntimeError, match="say in SOURCE"):
        exec(install, {})
    failed = SimpleNamespace(returncode=1, stderr="no such repository")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match="can't be installed from nowhere:\nno such repository"):
        exec(install.replace('SOURCE = ""', 'SOURCE = "nowhere"'), {})


def test_data_whose_download_was_interrupted_are_prepared(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    (tmp_path / "mnist/3.0.1.incomplete.1").mkdir(parents=True)
    called = []
    run = SimpleNamespace(run=lambda words, check: called.append(words))
    names = {"sources": sources, "UserError": UserError, "config": experiments.MNIST, "Path": Path}
    # What was called has prepared nothing here, which is told.
    with pytest.raises(UserError, match="mnist is not prepared"):
        exec(source("infogan_mnist.ipynb", "code-07"), names | {"subprocess": run, "sys": sys})
    assert called[-1][-1] == "mnist"
    called.clear()
    names["config"] = experiments.DIGITS
    exec(source("infogan_mnist.ipynb", "code-07"), names | {"subprocess": run, "sys": sys})
    assert not called


def test_on_colab_the_run_lies_on_drive(monkeypatch):
    mounted = []
    drive = SimpleNamespace(mount=mounted.append)
    for name, module in {"google": None, "google.colab": SimpleNamespace(drive=drive)}.items():
        monkeypatch.setitem(sys.modules, name, module or SimpleNamespace(__path__=[]))
    monkeypatch.setattr(importlib.util, "find_spec", sys.modules.get)
    names = {"importlib": importlib, "Path": Path, "runs": Path("runs"), "config": experiments.DIGITS}
    exec(source("infogan_mnist.ipynb", "code-05"), names)
    assert mounted == ["/content/drive"]
    assert names["folder"] == Path("/content/drive/MyDrive/infogan-jax/digits-s0")


@pytest.mark.parametrize(
    ("backend", "experiment"), [("cpu", "digits"), ("gpu", "mnist-invariant"), ("tpu", "mnist-invariant")]
)
def test_a_cpu_takes_the_small_set_up(backend, experiment):
    names = {"experiments": experiments, "replace": replace, "Path": Path}
    names["jax"] = SimpleNamespace(default_backend=lambda: backend)
    exec(source("infogan_mnist.ipynb", "code-04"), names)
    assert names["config"].experiment == experiment
