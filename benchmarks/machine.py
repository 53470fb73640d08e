"""What a benchmark was measured on."""

import os
import platform
from pathlib import Path


def threads() -> int:
    """The number of processors, all of which both sides may use."""
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
