"""A worker that stops on SIGTERM: no new work, then deliver what was accepted, in less time than the platform gives.

python docs/examples/worker.py            # on asyncio
python docs/examples/worker.py trio
"""

import os
import signal
import sys

import anyio

from aioproducer import Delivery, Producer

CLOSE_SECONDS = 20  # Kubernetes kills a process terminationGracePeriodSeconds, by default 30, after SIGTERM

delivered = 0


def on_delivery(delivery: Delivery) -> None:
    """Called once for each record, when its outcome is final."""
    global delivered
    error = delivery.exception()
    if error is None:
        delivered += 1
    else:
        print("a reading was lost:", error, file=sys.stderr)


async def stop_on_signal(scope: anyio.CancelScope) -> None:
    """Cancel the work when the platform asks for it."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            print("stopping on", signal.Signals(number).name, flush=True)
            scope.cancel()
            return


async def work(producer: Producer) -> None:
    """Accept a reading every few milliseconds; wait only when the buffer is full."""
    number = 0
    while True:
        await producer.submit("readings", b"%d" % number, on_delivery=on_delivery)
        number += 1
        await anyio.sleep(0.005)


async def main() -> None:
    """Work until told to stop."""
    async with Producer(
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"), linger_ms=50
    ) as producer:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop_on_signal, tasks.cancel_scope)
            tasks.start_soon(work, producer)
        # Only the task group was cancelled, so here is still time.
        await producer.close(timeout=CLOSE_SECONDS)
    print("delivered", delivered)


anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")
