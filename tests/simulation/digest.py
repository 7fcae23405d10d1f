"""One digest for what many histories of both simulations put on the wire and told: python -m tests.simulation.digest

A change that is to leave behaviour as it is leaves these digests as they are, too. Of each history goes in: every
request with its time, node, version and bytes, and of every record how it ended: when, with which code, retriable or
not, possibly written or not, at which offset. No name of a class and no text is in it. The digests of the present code
are in tests/data/digests.txt, one line for every fifty histories, so that a difference can be searched for; `--write`
renews them.
"""

# ruff: noqa: T201 - what it prints is what it is for

from __future__ import annotations

import argparse
import hashlib
import importlib
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FILE: Final = Path(__file__).parents[1] / "data" / "digests.txt"
CHUNK: Final = 50
WALL_CLOCK_NS: Final = 1_700_000_000_000_000_000


class Digest:
    """A hash that takes values one after the other."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, *values: object) -> None:
        """Take values whose repr is the same in each process."""
        self._hash.update(repr(values).encode())

    def add_error(self, error: Any) -> None:
        """Take what programs can tell errors apart by."""
        if error is None:
            self.add(None)
        else:
            told = (getattr(error, name, None) for name in ("code", "retriable", "fatal", "possibly_written"))
            self.add(*(value if value is None else int(value) for value in told))

    def hex(self) -> str:
        """Return what has come of it."""
        return self._hash.hexdigest()


def core_history(seed: int, digest: Digest) -> None:
    """Let a history of the core happen."""
    from tests.simulation import network
    from tests.simulation.history import History
    from tests.simulation.scenario import draw

    def tap(now: float, node_id: int, version: int, correlation_id: int, message: Any) -> None:
        digest.add(
            round(now, 9), node_id, message.api_key, version, correlation_id, b"".join(message.encode_parts(version))
        )

    network.tap = tap
    history = History(draw(seed))
    try:
        history.run()
    except Exception as error:
        digest.add("broken", type(error).__name__)
    for party in history.parties:
        for call in party.calls.calls:
            digest.add(call.number, call.accepted_at, call.done_at, call.partition, call.offset, call.is_cancelled)
            digest.add(call.possibly_written)
            digest.add_error(call.error)
            digest.add_error(call.refusal)


def producer_history(seed: int, digest: Digest, *, is_transactional: bool) -> None:
    """Let a history of the whole producer happen."""
    import pytest

    from tests.simulation_producer import network, story
    from tests.simulation_producer.transactional_story import TransactionalStory

    def tap(now: float, node_id: int, header: Any, body: bytes) -> None:
        digest.add(round(now, 9), node_id, header.api_key, header.api_version, header.correlation_id, bytes(body))

    network.tap = tap
    scheduler: Any = importlib.import_module("trio._core._run")
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # else it depends on addresses who of two runs first
    kind: Callable[[int], Any] = TransactionalStory if is_transactional else story.Story
    made: list[Any] = []

    def make(number: int) -> Any:
        made.append(kind(number))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        try:
            story.run(seed, patch, make=make)
        except Exception as error:
            digest.add("broken", type(error).__name__)
    for each in made:
        for entry in each.ledger.entries:
            digest.add(entry.number, entry.topic, len(entry.deliveries))
            digest.add_error(entry.raised)
            for delivery in entry.deliveries:
                digest.add_error(delivery.exception())
                if delivery.exception() is None:
                    digest.add(*delivery.result())


def chunk_digest(task: tuple[str, int]) -> tuple[str, int, str]:
    """Return the digest of the histories that begin at a seed."""
    import gc
    import logging

    kind, start = task
    gc.disable()
    logging.disable(logging.CRITICAL)
    digest = Digest()
    for seed in range(start, start + CHUNK):
        if kind == "core":
            core_history(seed, digest)
        else:
            producer_history(seed, digest, is_transactional=kind == "transactions")
        gc.collect()
    return kind, start, digest.hex()[:16]


def digests(histories: int, processes: int) -> list[str]:
    """Return the lines for so many histories of the core and of the producer (every fourth with transactions)."""
    tasks = [("core", start) for start in range(0, histories, CHUNK)]
    tasks += [("producer", start) for start in range(0, histories * 3 // 4, CHUNK)]
    tasks += [("transactions", start) for start in range(0, histories // 4, CHUNK)]
    # A process for each chunk: client ids are counted, and their length decides where pieces of a frame are cut.
    with multiprocessing.Pool(processes, maxtasksperchild=1) as pool:
        done = pool.map(chunk_digest, tasks, chunksize=1)
    return [f"{kind} {start} {value}" for kind, start, value in done]


def main() -> int:
    """Compare with the file, or write it; the exit status is 0 when they are the same."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.digest")
    parser.add_argument("--histories", type=int, default=2000, help="of each simulation; a multiple of 200")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true", help="make these the digests to compare with")
    parser.add_argument("--file", type=Path, default=FILE)
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of names are ordered by it
        again = [sys.executable, "-m", "tests.simulation.digest", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    time.time_ns = lambda: WALL_CLOCK_NS  # in the timestamps of the records; before the package takes it over
    lines = digests(arguments.histories, arguments.processes)
    if arguments.write:
        arguments.file.write_text("\n".join(lines) + "\n")
        return 0
    known = set(arguments.file.read_text().splitlines())
    different = [line for line in lines if line not in known]
    print(f"{len(lines)} digests of {CHUNK} histories each, {len(different)} are different", *different, sep="\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
