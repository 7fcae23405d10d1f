"""`make soak`: a million sends through failures, on loopback sockets; memory must stay flat and nothing be lost.

make soak RECORDS=200000 SEED=7 LOOP=trio
"""

from __future__ import annotations

import logging
import os
import random
import sys

import anyio

from scripts.chaos import LOOPS
from tests.soak.soak import Soak, growth


def main() -> int:
    """Run it as RECORDS, SEED and LOOP of the environment say."""
    records = int(os.environ.get("RECORDS") or 1_000_000)
    seed = int(os.environ.get("SEED") or random.randrange(10**9))
    loop = os.environ.get("LOOP") or "asyncio"
    backend, options = LOOPS[loop]
    logging.getLogger("aioproducer").setLevel(logging.CRITICAL)  # a line for each of thousands of faults
    print(f"{records:,} records on {loop}; again with: make soak RECORDS={records} SEED={seed} LOOP={loop}")
    soak = Soak(seed, lambda line: print(line, flush=True))
    anyio.run(soak.run, records, 20, backend=backend, backend_options=options)
    ledger = soak.ledger
    print(f"{ledger.acknowledged:,} acknowledged, failed: {dict(ledger.failures)}")
    for text in ledger.violations:
        print(text)
    grown = growth(soak.samples)
    print(grown or "memory, objects, descriptors and tasks are flat")
    return 1 if grown or ledger.violation_count else 0


if __name__ == "__main__":
    sys.exit(main())
