"""An event loop that ends while a producer still runs in it: what others are told."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from aioproducer import KafkaError, Producer, ProducerClosedError
from aioproducer.testing import EmbeddedCluster
from tests.attack.play import LOOPS
from tests.contract.support import until


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.filterwarnings("ignore:.*was not closed:ResourceWarning")
def test_a_thread_that_waits_for_a_loop_which_ends_hears_of_it(loop: str) -> None:
    raised: list[BaseException] = []

    def work(entry: Any) -> None:
        try:
            entry.send("t", b"v")
        except BaseException as error:
            raised.append(error)

    async def main() -> None:
        producer = Producer(bootstrap_servers=cluster.bootstrap_servers, linger_ms=60_000)
        await producer.start()
        await producer.partitions_for("t")
        thread = threading.Thread(target=work, args=(producer.thread_entry(),))
        threads.append(thread)
        thread.start()
        total = producer.statistics()["buffer-total-bytes"]
        await until(lambda: producer.statistics()["buffer-available-bytes"] < total)

    threads: list[threading.Thread] = []
    backend, options = LOOPS[loop]
    with EmbeddedCluster.running() as cluster:
        cluster.create_topic("t", 1)
        anyio.run(main, backend=backend, backend_options=options)
        threads[0].join(10)
    assert not threads[0].is_alive()
    (error,) = raised
    assert isinstance(error, KafkaError)
    assert type(error) is ProducerClosedError
