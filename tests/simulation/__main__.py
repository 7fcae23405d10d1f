"""`python -m tests.simulation SEED` replays one history with its trace; see --help for many of them."""

# ruff: noqa: T201 - what it prints is what it is for

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.simulation.bugs import BUGS, first_caught
from tests.simulation.history import Result, run
from tests.simulation.transaction_bugs import TRANSACTION_BUGS, first_transactions_caught

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

CHUNK = 50


def main() -> int:
    """Run the histories that the command line asks for; 1 if one of them broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("seed", type=int, nargs="?", help="replay this one and print what happened")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--bugs", action="store_true", help="tell how soon each planted bug is caught")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return replay(arguments.seed)
    if arguments.bugs:
        return plant(arguments.seeds)
    return many(arguments.start, arguments.seeds, arguments.processes, keep_going=arguments.keep_going)


def replay(seed: int) -> int:
    """Run one history and print its trace."""
    result = run(seed, is_traced=True)
    print("\n".join(result.lines))
    print(result.violation or "every promise was kept")
    return 1 if result.violation else 0


def many(start: int, seeds: int, processes: int, *, keep_going: bool) -> int:
    """Run many histories and print the totals, and each failure with how to replay it."""
    began = time.monotonic()
    chunks = [range(first, min(first + CHUNK, start + seeds)) for first in range(start, start + seeds, CHUNK)]
    done = events = records = acknowledged = failed = 0
    with multiprocessing.Pool(processes) as pool:
        for results in pool.imap_unordered(run_chunk, chunks):
            done += len(results)
            events += sum(result.events for result in results)
            records += sum(result.records for result in results)
            acknowledged += sum(result.acknowledged for result in results)
            for result in results:
                if result.violation:
                    failed += 1
                    print(f"seed {result.seed}: {result.violation}\n    python -m tests.simulation {result.seed}")
            sys.stdout.flush()
            if failed and not keep_going:
                break
    elapsed = time.monotonic() - began
    print(
        f"{done} histories from seed {start}: {failed} broke a promise; {events / max(done, 1):.0f} events,"
        f" {records / max(done, 1):.0f} records ({acknowledged / max(records, 1):.0%} acknowledged) each;"
        f" {elapsed:.1f} s, {elapsed * 1000 / max(done, 1):.1f} ms each with {processes} processes"
    )
    return 1 if failed else 0


def plant(histories: int) -> int:
    """Print in which history each planted bug is caught; 1 if one is not."""
    missed = 0
    for bug in TRANSACTION_BUGS:
        with quiet():
            caught = first_transactions_caught(bug, histories // 4)
        missed += caught is None
        found = "not caught" if caught is None else f"history {caught[0]} with transactions: {caught[1].violation}"
        print(f"{bug.name:28} {found}", flush=True)
    for bug in BUGS:
        with quiet():
            result = first_caught(bug, histories)
        missed += result is None
        found = "not caught" if result is None else f"seed {result.seed}: {result.violation}"
        print(f"{bug.name:28} {found}", flush=True)
    return 1 if missed else 0


@contextmanager
def quiet() -> Generator[None]:
    """Collect no garbage and log nothing meanwhile: histories make cycles, and logging is worth a tenth of the time."""
    gc.disable()
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)
        gc.collect()


def run_chunk(seeds: Iterable[int]) -> list[Result]:
    """Run some histories."""
    with quiet():
        return [run(seed) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
