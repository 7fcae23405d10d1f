"""Which function does a process spend its CPU time in? Asks by a signal, a millisecond after the last on average.

The time between is drawn at random, since what a loop does comes round every few milliseconds: a steady beat would fall
into step with it, and so does one that counts CPU time, which kernels tell in steps of up to four. Samples of waiting
for events are left out.

Unlike a profiler that hooks every call it costs the same for small and large functions, so that shares are what they
are without it. Time in C (system calls, codecs, asyncio's own C parts) counts for the Python function that calls it.
"""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

INTERVAL: Final = 0.001
WAITING: Final = ("EpollSelector.select", "EpollIOManager.get_events")  # of asyncio and trio


class Sampler:
    """Samples the main thread while it is started."""

    def __init__(self) -> None:
        self.functions: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()
        self._random = random.Random(1)

    def start(self) -> None:
        """Begin."""
        signal.signal(signal.SIGALRM, self._sample)
        self._come_again()

    def stop(self) -> None:
        """End."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _come_again(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self._random.uniform(0.5 * INTERVAL, 1.5 * INTERVAL))

    def _sample(self, _: int, frame: FrameType | None) -> None:
        self._come_again()
        if frame is None or frame.f_code.co_qualname in WAITING:
            return
        code = frame.f_code
        place = f"{short(code.co_filename)}:{code.co_firstlineno} {code.co_qualname}"
        self.functions[place] += 1
        self.lines[f"{short(code.co_filename)}:{frame.f_lineno} {code.co_qualname}"] += 1

    def dump(self, path: str) -> None:
        """Write what was seen, as JSON."""
        Path(path).write_text(json.dumps({"functions": self.functions, "lines": self.lines}))


def short(filename: str) -> str:
    """Return the end of a path, from the package on.

    >>> short("/usr/lib/python3.11/site-packages/trio/_core/_run.py"), short("/src/aioproducer/_producer/delivery.py")
    ('trio/_core/_run.py', 'aioproducer/_producer/delivery.py')
    """
    parts = Path(filename).parts
    for start in ("site-packages", "lib"):
        if start in parts:
            rest = parts[len(parts) - parts[::-1].index(start) :]
            return "/".join(rest[1:] if rest[0].startswith("python") else rest)
    return "/".join(parts[parts.index("aioproducer") :]) if "aioproducer" in parts else "/".join(parts[-2:])
