import os
import signal
import subprocess
import sys

import pytest

from infogan_jax.errors import UserError
from infogan_jax.training import run_folder
from infogan_jax.training.lock import locked

HOLDER = """
import sys
from pathlib import Path
from infogan_jax.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def refused(folder):
    with pytest.raises(UserError) as error, locked(folder):
        pass
    return str(error.value)


def test_a_folder_that_another_process_trains_in_is_refused_until_that_ends(tmp_path):
    folder = tmp_path / "deep" / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        assert f"run is being trained by process {holder.pid} on" in refused(folder)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(folder):
        # A second attempt in the same process is another attempt.
        assert f"process {os.getpid()} on" in refused(folder)
    with locked(folder):
        pass
    assert run_folder.was_only_begun(folder)


def test_a_file_system_without_locks_is_taken_as_it_is(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    with locked(tmp_path), locked(tmp_path):
        pass
