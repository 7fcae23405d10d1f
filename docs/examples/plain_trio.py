"""trio: the same producer; a pipeline from a memory channel, and a deadline that means "unknown", not "unsent"."""

import os

import trio

from aioproducer import Producer

BOOTSTRAP_SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")


async def produce(producer: Producer, orders: trio.MemoryReceiveChannel[bytes]) -> None:
    """Send what comes in. submit waits when the buffer is full, and with it whoever feeds the channel."""
    async for order in orders:
        await producer.submit("orders", order)
    await producer.flush()  # raises if one of them failed


async def main() -> None:
    """Start the producer around the nursery that uses it."""
    async with Producer(bootstrap_servers=BOOTSTRAP_SERVERS) as producer:
        feed, orders = trio.open_memory_channel[bytes](10)
        async with trio.open_nursery() as nursery, feed:
            nursery.start_soon(produce, producer, orders)
            for number in range(100):
                await feed.send(b"order %d" % number)
        with trio.move_on_after(5) as scope:
            metadata = await producer.send("orders", b"the last one")
            print("the last one is at", metadata.offset)
        if scope.cancelled_caught:
            print("after 5 seconds the outcome of the last one is not known; it is still on its way")


trio.run(main)
