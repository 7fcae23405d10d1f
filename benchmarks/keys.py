"""What do keys cost? Run: python benchmarks/keys.py

One task submits records of 100 bytes without looking at their outcome, to a broker that takes everything and keeps
nothing: without keys, with a thousand different keys, and with keys that are all different (36 bytes, as UUIDs are).
The ratios are of records per second of CPU, within a round; the median of the rounds, with the least and greatest.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
import uuid
from typing import Final

from aioproducer import Producer
from benchmarks.comparison.workload import TOPIC
from benchmarks.quick import broker

COUNT: Final = 40_000
ROUNDS: Final = 5
VALUE: Final = b"x" * 100


def keys(kind: str) -> list[bytes | None]:
    """Return a key for each record."""
    if kind == "none":
        return [None] * COUNT
    some: list[bytes | None] = [str(uuid.uuid4()).encode() for _ in range(1000 if kind == "thousand" else COUNT)]
    return some * (COUNT // len(some))


async def rate(address: str, given: list[bytes | None]) -> float:
    """Return records per second of this process's CPU."""
    async with Producer(bootstrap_servers=address) as producer:
        await producer.partitions_for(TOPIC)
        submit = producer.submit
        begin = time.process_time()
        for key in given:
            await submit(TOPIC, VALUE, key=key)
        await producer.flush()
        return COUNT / (time.process_time() - begin)


def main() -> None:
    """Print the figures."""
    print(sys.version)
    rates: dict[str, list[float]] = {"none": [], "thousand": [], "different": []}
    with broker("sink") as address:
        for _ in range(ROUNDS):
            for kind, measured in rates.items():
                measured.append(asyncio.run(rate(address, keys(kind))))
    for kind, measured in rates.items():
        ratios = [ours / plain for ours, plain in zip(measured, rates["none"], strict=True)]
        spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
        print(f"keys: {kind:10} {statistics.median(measured):>9,.0f} records/s of CPU, {spread} of those without a key")


if __name__ == "__main__":
    main()
