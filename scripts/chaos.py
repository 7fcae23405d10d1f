"""`make chaos`: ten minutes of faults on a real Kafka while records flow, and what came of it.

    make chaos SEED=7 MINUTES=3 LOOP=trio

The exit status is 0 when every acknowledged record is in the log once and in order, and none has failed.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from typing import Any, Final

import anyio

from aioproducer.testing import RealCluster
from tests.chaos.campaign import Campaign, Report

LOOPS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


def main() -> int:
    """Run it as SEED, MINUTES and LOOP of the environment say."""
    seed = int(os.environ.get("SEED") or random.randrange(10**9))
    minutes = float(os.environ.get("MINUTES") or 10)
    loop = os.environ.get("LOOP") or "asyncio"
    backend, options = LOOPS[loop]
    logging.getLogger("aioproducer").setLevel(logging.ERROR)  # else a line for each connection that is broken
    print(
        f"{minutes:g} minutes of faults on {loop}; again with: make chaos SEED={seed} MINUTES={minutes:g} LOOP={loop}"
    )
    with RealCluster(nodes=3, proxied=True, min_insync_replicas=2) as cluster:
        report = anyio.run(run, cluster, seed, minutes, backend=backend, backend_options=options)
    print(f"\n{report.table()}\n")
    tell_verdict(report)
    return 0 if report.is_kept else 1


async def run(cluster: RealCluster, seed: int, minutes: float) -> Report:
    """Strike the cluster for so long."""
    return await Campaign(cluster, seed, lambda line: print(line, flush=True)).run(seconds=minutes * 60)


def tell_verdict(report: Report) -> None:
    """Print what was promised and not kept."""
    if report.is_kept:
        print(f"every promise was kept: {report.verdict.records:,} records, each once and in order")
        return
    for kind, numbers in report.verdict.complaints().items():
        print(f"{kind.replace('_', ' ')}: records {numbers}")
    if report.told_twice:
        print(f"outcomes told twice: records {report.told_twice[:10]}")
    for error, count in report.errors.items():
        print(f"{count} × {error}")


if __name__ == "__main__":
    sys.exit(main())
