"""What does a record cost in send_all, and in a loop of submit? The embedded cluster runs in the same process and is
part of both figures.

python benchmarks/send_all.py
"""

from __future__ import annotations

import time

import anyio

from aioproducer import Producer, ProducerRecord
from aioproducer.testing import EmbeddedCluster

RECORDS = 50_000
ROUNDS = 3


async def main() -> None:
    """Print the best of a few rounds."""
    records: list[ProducerRecord[bytes, bytes]] = [ProducerRecord("t", bytes(100)) for _ in range(RECORDS)]
    best = {"send_all": float("inf"), "submit and flush": float("inf")}
    async with (
        EmbeddedCluster(partitions=6) as cluster,
        Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers) as producer,
    ):
        await producer.send_all(records[:1000])
        for _ in range(ROUNDS):
            started = time.perf_counter()
            await producer.send_all(records)
            best["send_all"] = min(best["send_all"], time.perf_counter() - started)
            started = time.perf_counter()
            for record in records:
                await producer.submit("t", record.value)
            await producer.flush()
            best["submit and flush"] = min(best["submit and flush"], time.perf_counter() - started)
    for name, seconds in best.items():
        print(f"{name}: {seconds / RECORDS * 1e6:.1f} µs a record")


if __name__ == "__main__":
    anyio.run(main)
