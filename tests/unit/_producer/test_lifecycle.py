"""The life of a producer, as far as it has no broker: names, refusals, and what the end of an `async with` does."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aioproducer import BootstrapError, IllegalStateError, Producer, ProducerClosedError, ProducerConfig
from aioproducer._producer.lifecycle import Lifecycle, close_at_exit
from aioproducer._producer.send_path import State


def lifecycle(**settings: Any) -> Lifecycle:
    return Lifecycle(ProducerConfig(bootstrap_servers="localhost:9092", **settings))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"transactional_id": "billing"}, "producer-billing"),
        ({"transactional_id": "billing", "client_id": "mine"}, "mine"),
        ({"client_id": ""}, ""),
    ],
)
def test_the_client_id_follows_from_the_transactional_id_unless_it_is_given(
    settings: dict[str, str], name: str
) -> None:
    assert repr(lifecycle(**settings)) == f"{name} new"
    producer = Producer.from_config({"bootstrap_servers": "localhost:9092", **settings})
    assert repr(producer) == f"<Producer {name} new>"


def test_producers_without_any_id_are_numbered() -> None:
    first, second = (Producer(bootstrap_servers="localhost:9092") for _ in range(2))
    number = int(repr(first).split()[1].removeprefix("producer-"))
    assert repr(second) == f"<Producer producer-{number + 1} new>"


def test_settings_that_are_surprising_are_told_when_it_is_made(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "aioproducer.producer"):
        told = lifecycle(acks=1).config
    assert [*told.warnings, *told.notes]
    assert [record.__dict__["event_name"] for record in caplog.records] == ["settings"] * len(
        [*told.warnings, *told.notes]
    )


async def test_what_was_never_started_is_closed_at_once() -> None:
    life = lifecycle()
    await life.close()
    assert life.send_path.state is State.CLOSED
    assert not life.is_abandoned
    assert isinstance(life.send_path.refusal(), ProducerClosedError)


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING, State.CLOSING])
async def test_it_is_started_once(state: State) -> None:
    life = lifecycle()
    life.send_path.close(state)
    with pytest.raises(IllegalStateError, match="cannot start"):
        await life.start()
    assert life.send_path.state is state


async def test_it_is_not_closed_while_it_starts() -> None:
    life = lifecycle()
    life.send_path.close(State.STARTING)
    with pytest.raises(IllegalStateError, match="cancel start"):
        await life.close()


@pytest.mark.parametrize("timeout", ["1", True, -1])
async def test_a_wrong_timeout_is_refused(timeout: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="timeout is"):
        await lifecycle().close(timeout)


async def test_a_failed_start_leaves_it_closed() -> None:
    async def refuse(host: str, port: int) -> Any:
        raise ConnectionRefusedError(111, "refused")

    life = Lifecycle(ProducerConfig(bootstrap_servers="localhost:1", max_block_ms=1, client_id="c"), refuse)
    with pytest.raises(Exception, match="no bootstrap server"):
        await life.start()
    assert (life.runtime, repr(life)) == (None, "c closed")


# ── the end of an `async with` ───────────────────────────────────────────────────────────────────────────────────────


class Closing:
    """A close() that takes its time, and tells what it was given."""

    def __init__(self) -> None:
        self.timeouts: list[float | None] = []

    async def __call__(self, timeout: float | None = None) -> None:
        self.timeouts.append(timeout)
        if timeout is None:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()


async def test_a_body_that_failed_leaves_a_bounded_close() -> None:
    close = Closing()
    await close_at_exit(close, 5000, has_failed=True)
    assert close.timeouts == [5]


async def test_a_close_that_is_cancelled_goes_on_for_a_bounded_time() -> None:
    close = Closing()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await close_at_exit(close, 5000, has_failed=False)
    assert scope.cancelled_caught
    assert close.timeouts == [None, 5]


async def test_a_start_that_fails_says_what_cannot_work_with_a_cloud() -> None:
    async def refuse(host: str, port: int) -> Any:
        raise OSError("refused")

    server = "pkc-1.eu-west-1.aws.confluent.cloud:9092"
    producer = Producer(bootstrap_servers=server, connect=refuse, max_block_ms=10)
    with pytest.raises(BootstrapError, match=r"Confluent Cloud: .*it takes SASL_SSL with PLAIN"):
        await producer.start()
