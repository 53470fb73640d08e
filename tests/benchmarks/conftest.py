"""The benchmarks' PyTorch side is tested where PyTorch is installed (the extra `bench`)."""

from importlib.util import find_spec

TORCH = find_spec("torch") is not None

# Not collected, and said so, instead of skipped: a skip is for what ought to be there.
collect_ignore = [] if TORCH else ["test_torch_step.py"]


def pytest_report_header():
    """Says what is left out."""
    return None if TORCH else "without PyTorch (extra bench): tests/benchmarks/test_torch_step.py is left out"
