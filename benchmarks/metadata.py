"""How long do answers to Metadata hold the event loop? That of one more topic beside many, and that of a huge topic.

python -m benchmarks.metadata

Each figure is a step that runs without a pause: an answer is decoded, and the core takes it over and is polled.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from typing import TYPE_CHECKING, Final

from aioproducer._config import ProducerConfig
from aioproducer._core.accumulator.accumulator import Accumulator
from aioproducer._core.effects import Connect, Send
from aioproducer._core.sender import Sender
from aioproducer._wire.frames import decode_response, encode_response
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from aioproducer._wire.messages.produce import ProduceRequest
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aioproducer._core.effects import Effect

KNOWN: Final = (100, 1_000, 20_000)
PARTITIONS: Final = (1_000, 10_000, 100_000, 1_000_000)
NEW: Final = 25

_VERSIONS: Final = BrokerVersions(
    apis={
        r.api_key: ApiVersionRange(0, r.max_version) for r in (MetadataRequest, InitProducerIdRequest, ProduceRequest)
    }
)


class Step:
    """A core without a shell, and the one broker that answers it.

    Attributes:
        spent: how long the core, and decoding for it, have taken since `clear`.
    """

    def __init__(self) -> None:
        config = ProducerConfig(bootstrap_servers="localhost:9092", metadata_max_age_ms=1_000_000_000)
        rng = random.Random(1)
        self.accumulator = Accumulator(config, rng)
        self.sender = Sender(config, self.accumulator, rng)
        self.now = 1.0
        self.spent = 0.0
        self._asked: Send | None = None

    def ask(self, topics: Iterable[str]) -> None:
        """Have topics asked for."""
        self.now += 10.0
        for topic in topics:
            self.accumulator.wait_for_topic(topic, self.now, math.inf)
        self._poll()

    def refresh(self) -> None:
        """Have all topics asked for again."""
        self.now += 2_000_000.0
        self._poll()

    def answer(self, frame: bytes) -> None:
        """Have the request for metadata answered."""
        sent, self._asked = self._asked, None
        assert sent is not None, "nothing was asked"
        start = time.perf_counter()
        message = decode_response(frame, MetadataRequest.api_key, sent.request.version, 1)
        self.sender.on_response(sent.node_id, sent.request, message, self.now)
        self.spent += time.perf_counter() - start
        self._poll()

    def _poll(self) -> None:
        while True:
            start = time.perf_counter()
            effects = self.sender.poll(self.now)
            self.spent += time.perf_counter() - start
            if not effects:
                return
            for effect in effects:
                self._take(effect)

    def _take(self, effect: Effect) -> None:
        if isinstance(effect, Connect):
            self.sender.on_connected(effect.node_id, _VERSIONS, self.now)
        elif isinstance(effect, Send) and isinstance(effect.message, MetadataRequest):
            self.sender.on_written(effect.node_id, effect.request, self.now)
            self._asked = effect


def frame(topics: dict[str, int]) -> bytes:
    """Return an answer about topics with so many partitions each, on three brokers."""
    answer = MetadataResponse(
        brokers=[MetadataResponseBroker(node_id=node, host="localhost", port=9092 + node) for node in range(3)],
        cluster_id="c",
        topics=[
            MetadataResponseTopic(
                name=name,
                partitions=[
                    MetadataResponsePartition(
                        partition_index=number, leader_id=number % 3, replica_nodes=[0, 1, 2], isr_nodes=[0, 1, 2]
                    )
                    for number in range(count)
                ],
            )
            for name, count in topics.items()
        ],
    )
    return encode_response(answer, MetadataRequest.max_version, 1)[4:]


def one_more_topic(known: int) -> tuple[float, float]:
    """Return the median and the longest time, in ms, that the lookup of one more topic takes, with so many known."""
    step = Step()
    names = [f"known-{number}" for number in range(known)]
    step.ask(names)
    step.answer(frame(dict.fromkeys(names, 1)))
    times: list[float] = []
    for number in range(NEW):
        name = f"new-{number}"
        answer = frame({name: 1})
        step.spent = 0.0
        step.ask([name])
        step.answer(answer)
        times.append(step.spent * 1000)
    return statistics.median(times), max(times)


def huge_topic(partitions: int) -> tuple[float, float]:
    """Return how long, in ms, the first answer about a topic of so many partitions holds the loop, and the next."""
    step = Step()
    answer = frame({"huge": partitions})
    step.ask(["huge"])
    step.spent = 0.0
    step.answer(answer)
    first, step.spent = step.spent, 0.0
    step.refresh()
    step.answer(answer)
    return first * 1000, step.spent * 1000


def main() -> None:
    """Print the figures."""
    for known in KNOWN:
        median, longest = one_more_topic(known)
        print(f"one more topic, {known:,} known: {median:.2f} ms, at most {longest:.2f}")
    for partitions in PARTITIONS:
        first, again = huge_topic(partitions)
        print(f"a topic of {partitions:,} partitions: {first:,.1f} ms, {again:,.1f} at a refresh")


if __name__ == "__main__":
    main()
