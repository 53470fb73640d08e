"""The benchmarks' PyTorch side is tested where PyTorch is installed (the extra `bench`)."""

from importlib.util import find_spec

TORCH = find_spec("torch") is not None

# Not collected, and said so, instead of skipped: a skip is for what ought to be there.
_NEED_IT = ["test_torch_step.py", "test_torch_superresolution.py"]
collect_ignore = [] if TORCH else _NEED_IT


def pytest_report_header():
    """Says what is left out."""
    return None if TORCH else f"without PyTorch (extra bench): tests/benchmarks/{_NEED_IT} are left out"
