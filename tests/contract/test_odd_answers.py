"""Answers that leave something out, or make no sense: who waits for something else goes on, and whoever asked waits.

Embedded only, its answers changed on their way to the producer.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from aioproducer import Producer
from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.metadata import MetadataResponse
from aioproducer._wire.messages.produce import ProduceResponse
from aioproducer.errors import ErrorCode
from aioproducer.testing import EmbeddedCluster
from tests.attack.answers import Damage, Liar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from aioproducer._wire.schema import Message, Struct


@dataclass
class Change:
    """What becomes of the next answers of a kind, so many of them; those without a topic are left as they are."""

    api: ApiKey
    change: Callable[[Any], None]
    times: int = 1

    def apply(self, message: Message) -> None:
        assert isinstance(message, MetadataResponse | ProduceResponse)
        topics = message.topics if isinstance(message, MetadataResponse) else message.responses
        if topics and self.times:
            self.times -= 1
            self.change(message)


@asynccontextmanager
async def changing(*topics: str, partitions: int = 1) -> AsyncGenerator[tuple[Liar, Producer[bytes, bytes]]]:
    """A producer that has sent to "known", and what changes the answers it gets."""
    async with EmbeddedCluster(partitions=partitions) as cluster:
        for topic in ("known", *topics):
            await cluster.create_topic(topic)
        liar = Liar(cast("Damage", None), int(cluster.bootstrap_servers[0].rpartition(":")[2]))
        async with Producer(
            bootstrap_servers=cluster.bootstrap_servers,
            connect=liar.connect,
            linger_ms=0,
            max_block_ms=15_000,
            request_timeout_ms=5_000,
            delivery_timeout_ms=15_000,
            retry_backoff_ms=10,
            retry_backoff_max_ms=50,
            reconnect_backoff_ms=10,
            reconnect_backoff_max_ms=50,
        ) as producer:
            await producer.send("known", b"before", partition=0)
            yield liar, producer


def lie(liar: Liar, change: Change) -> None:
    liar.damage = cast("Damage", change)
    liar.is_lying = True


def leave_out(answer: MetadataResponse) -> None:
    answer.topics.clear()


def misnumber(answer: MetadataResponse) -> None:
    tell(answer.topics[0].partitions[0], "partition_index", -5)


def ask_to_start_over(answer: MetadataResponse) -> None:
    tell(answer, "error_code", ErrorCode.REBOOTSTRAP_REQUIRED)


def without_middle(answer: MetadataResponse) -> None:
    for topic in answer.topics:
        tell(topic, "partitions", [each for each in topic.partitions if each.partition_index != 1])


def answer_for_another(answer: ProduceResponse) -> None:
    tell(answer.responses[0].partition_responses[0], "index", 77)


def tell(answer: Struct, field: str, value: object) -> None:
    setattr(answer, field, value)  # what is decoded is not to be changed, and is read-only in its type


@pytest.mark.parametrize("change", [leave_out, misnumber, ask_to_start_over])
async def test_a_first_send_waits_over_answers_that_tell_nothing(change: Callable[[MetadataResponse], None]) -> None:
    async with changing("new") as (liar, producer):
        lie(liar, Change(ApiKey.METADATA, change, times=3 if change is leave_out else 1))
        with anyio.fail_after(10):
            await producer.send("new", b"1")
        assert liar.told


async def test_a_topic_that_is_always_left_out_is_asked_for_until_the_call_ends() -> None:
    async with changing("new") as (liar, producer):
        lie(liar, Change(ApiKey.METADATA, leave_out, times=10_000))
        with anyio.move_on_after(0.4) as scope:
            await producer.send("new", b"1")
        assert scope.cancelled_caught, "it has not failed, it waits"
        assert liar.told > 2
        await producer.send("known", b"meanwhile")


async def test_a_partition_that_is_left_out_has_no_leader_and_all_else_goes_on() -> None:
    async with changing("gap", "other", partitions=3) as (liar, producer):
        lie(liar, Change(ApiKey.METADATA, without_middle, times=10_000))
        with anyio.fail_after(10):
            assert (await producer.partitions_for("gap")).partition_count == 3
            for topic in ("gap", "other"):
                for partition in (0, 2):
                    await producer.send(topic, b"1", partition=partition)
            waiting = await producer.submit("gap", b"2", partition=1)
            await producer.send("known", b"meanwhile", partition=0)
            assert not waiting.done()
            liar.is_lying = False
            await waiting


async def test_a_bad_answer_about_one_topic_fails_no_first_send_to_another() -> None:
    async with changing("new") as (liar, producer):
        lie(liar, Change(ApiKey.PRODUCE, answer_for_another))
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(10):
                tasks.start_soon(producer.send, "known", b"1")
                await producer.send("new", b"1")
        assert cast("Change", liar.damage).times == 0
