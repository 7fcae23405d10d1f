"""asyncio, nothing else: many tasks share one producer; each awaits its own record."""

import asyncio
import os

from aioproducer import KafkaError, Producer

BOOTSTRAP_SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")


async def handle(producer: Producer, number: int) -> None:
    """One unit of work. Sharing the producer is free; one for each task would mean a connection for each."""
    try:
        metadata = await producer.send("orders", b"order %d" % number, key=b"customer %d" % (number % 10))
    except KafkaError as error:
        print(f"order {number} failed: {error} (may be written all the same: {error.possibly_written})")
    else:
        print(f"order {number} is at {metadata.partition}/{metadata.offset}")


async def main() -> None:
    """Start the producer around everything that uses it."""
    async with Producer(bootstrap_servers=BOOTSTRAP_SERVERS) as producer, asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(handle(producer, number))


asyncio.run(main())
