"""Data are data: nothing that is read can run, leave its folder or fill the memory; nothing listens."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    *ROOT.glob("*.py"),
    *(f for d in ("infogan_jax", "losses", "benchmarks") for f in (ROOT / d).rglob("*.py")),
]

# Modules whose files are programs, and calls that run what they are given or start another program.
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "shelve",
    "marshal",
    "dill",
    "cloudpickle",
    "joblib",
    "yaml",
    "torch",
}
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "import_module"}
# It imports what the module that makes it names.
ALLOWED = {"infogan_jax/late.py": {"import_module"}}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def called(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", ""), node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_reads_what_could_run(path):
    tree = ast.parse(path.read_text())
    # The benchmarks' PyTorch side computes; it reads no file.
    allowed = {"torch"} if path.parent.name == "benchmarks" else set()
    assert not set(imported(tree)) & (MODULES - allowed)
    for name, node in called(tree):
        # `re.compile` and a jitted function's `compile` are others.
        own = ALLOWED.get(str(path.relative_to(ROOT)), set())
        if name in CALLS - own and not (name == "compile" and isinstance(node.func, ast.Attribute)):
            pytest.fail(f"line {node.lineno} calls {name}")
        for keyword in node.keywords:
            assert not (keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False")
            assert not (keyword.arg == "shell" and ast.unparse(keyword.value) != "False")


WATCHED = """
import os, sys
seen = []
def watch(event, arguments):
    if event == "pickle.find_class":
        seen.append(" ".join(map(str, arguments)))
    elif event in ("socket.bind", "socket.listen"):
        seen.append(f"{event} {arguments[1:]}")
sys.addaudithook(watch)
from infogan_jax import cli
assert cli.train(sys.argv[1:]) == 0
if os.path.exists("/proc/net/tcp"):
    own = set()
    for each in os.listdir("/proc/self/fd"):
        try:
            own.add(os.readlink(f"/proc/self/fd/{each}"))
        except OSError:
            pass
    for table in ("tcp", "tcp6"):
        for row in open(f"/proc/net/{table}").read().splitlines()[1:]:
            cells = row.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in own:
                seen.append(f"listens at {cells[1]}")
print("seen:", sorted(set(seen)))
"""


def test_a_run_from_training_to_report_unpickles_nothing_and_listens_nowhere(tmp_path):
    options = ["digits-autoencoder", "--train.steps", "2", "--train.batch", "16", "--run-dir", "run"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "XLA_FLAGS": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *options],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "seen: []"
