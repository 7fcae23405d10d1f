"""The program that the demo runs and shows on trio, whose tasks have no callbacks: they go on after the await."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from aioproducer import Producer

if TYPE_CHECKING:
    from aioproducer._cli.demo import Printer


async def send_in_all_three_ways(bootstrap_servers: list[str], topic: str, printer: Printer) -> None:
    """Send three records in each way; the printer tells of each when it is acknowledged."""
    async with Producer[bytes, bytes](bootstrap_servers=bootstrap_servers) as producer:

        async def send_and_print(way: str, key: bytes, value: bytes) -> None:
            started = time.perf_counter()
            metadata = await producer.send(topic, value, key=key)
            printer.acknowledged(way, key, value, metadata, started)

        # 1. Wait for the result.
        for number in range(3):
            await send_and_print("await send", b"wait-%d" % number, b"waited for")

        # 2. Be called back: a task goes on when its record is acknowledged ...
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(send_and_print, "task", b"task-%d" % number, b"sent by a task")

        # ... and deliveries have callbacks.
        for number in range(3):
            key, value = b"delivery-%d" % number, b"submitted"
            delivery = await producer.submit(topic, value, key=key)
            delivery.add_done_callback(printer.callback("delivery + callback", key, value))
        await producer.flush()

        # 3. Fire and forget (on_delivery is only here to print it).
        for number in range(3):
            key, value = b"forget-%d" % number, b"fire and forget"
            producer.submit_nowait(topic, value, key=key, on_delivery=printer.callback("fire and forget", key, value))
        # Leaving the block delivers whatever was accepted.
