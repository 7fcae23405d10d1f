"""The program that the demo runs and shows, on asyncio: a record's result awaited, called back with, or left alone."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aioproducer import Producer

if TYPE_CHECKING:
    from aioproducer._cli.demo import Printer


async def send_in_all_three_ways(bootstrap_servers: list[str], topic: str, printer: Printer) -> None:
    """Send three records in each way; the printer tells of each when it is acknowledged."""
    async with Producer[bytes, bytes](bootstrap_servers=bootstrap_servers) as producer:
        # 1. Wait for the result.
        for number in range(3):
            key, value = b"wait-%d" % number, b"waited for"
            started = time.perf_counter()
            metadata = await producer.send(topic, value, key=key)
            printer.acknowledged("await send", key, value, metadata, started)

        # 2. Be called back: by tasks ...
        tasks: list[asyncio.Task[object]] = []
        for number in range(3):
            key, value = b"task-%d" % number, b"sent by a task"
            task = asyncio.create_task(producer.send(topic, value, key=key))
            task.add_done_callback(printer.callback("task + callback", key, value))
            tasks.append(task)
        await asyncio.wait(tasks)

        # ... and by deliveries.
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
