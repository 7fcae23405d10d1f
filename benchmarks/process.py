"""What the system says about this process: its memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def resident_mb() -> float:
    """Return the memory that is resident now; where the system does not tell, the most that there was."""
    return _status("VmRSS") or peak_mb()


def peak_mb() -> float:
    """Return the most memory that was resident since the start, or since `reset_peak`."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def reset_peak() -> None:
    """Begin anew with the peak, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def _status(name: str) -> float:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return 0.0
