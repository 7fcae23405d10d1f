"""Sessions that end and are renewed on their connections (KIP-368), against the embedded cluster."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from aioproducer import Producer
from aioproducer.security import Token
from aioproducer.testing import EmbeddedCluster
from tests.contract.support import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIFETIME_MS = 1_500


@pytest.fixture
async def secured(anyio_backend: Any) -> AsyncIterator[EmbeddedCluster]:
    """Two brokers whose sessions are short."""
    del anyio_backend
    async with EmbeddedCluster(
        brokers=2,
        partitions=4,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanisms=["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"],
        users={"alice": "wonderland"},
        connections_max_reauth_ms=LIFETIME_MS,
    ) as cluster:
        yield cluster


def client(cluster: EmbeddedCluster, mechanism: Any = "SCRAM-SHA-256", **settings: Any) -> Producer[bytes, bytes]:
    if mechanism != "OAUTHBEARER":
        settings = {"sasl_username": "alice", "sasl_password": "wonderland", **settings}
    return Producer(
        bootstrap_servers=cluster.bootstrap_servers,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism=mechanism,
        linger_ms=0,
        **settings,
    )


def token_of(cluster: EmbeddedCluster, seconds: float) -> Token:
    return Token(cluster.oauth_token("alice", lifetime=seconds), expires_at_ms=int((time.time() + seconds) * 1000))


async def send_through(producer: Producer[bytes, bytes], renewals: int) -> int:
    """Send one record after the other until so many sessions were renewed; return how many records that were."""
    sent = 0
    with anyio.fail_after(30):
        while producer.statistics()["successful-reauthentication-total"] < renewals:
            await producer.send("t", b"%d" % sent, partition=sent % 4)
            sent += 1
    return sent


def check(cluster: EmbeddedCluster, sent: int) -> None:
    """Each record is in the log once, and those of a partition are in their order."""
    records = cluster.records("t")
    assert sorted(int(record.value or b"") for record in records) == list(range(sent))
    for partition in range(4):
        numbers = [int(record.value or b"") for record in records if record.partition == partition]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"])
async def test_records_flow_through_renewals_on_the_same_connections(secured: EmbeddedCluster, mechanism: str) -> None:
    async def provider() -> Token:
        return token_of(secured, 3_600)

    settings = {"sasl_oauth_token_provider": provider} if mechanism == "OAUTHBEARER" else {}
    async with client(secured, mechanism, **settings) as producer:
        sent = await send_through(producer, 2)
        figures = producer.statistics()
        assert figures["connection-creation-total"] <= 3  # a bootstrap server and two brokers
        assert 0 < figures["reauthentication-latency-max"] < 1_000
    check(secured, sent)


async def test_a_session_that_is_refused_costs_its_connection_and_no_record(secured: EmbeddedCluster) -> None:
    async with client(secured) as producer:
        sent = await send_through(producer, 1)
        made = producer.statistics()["connection-creation-total"]
        with secured.reject_auth() as refused, anyio.fail_after(20):
            while not refused.hits:
                await producer.send("t", b"%d" % sent, partition=sent % 4)
                sent += 1
        await producer.send("t", b"%d" % sent, partition=sent % 4)
        sent += 1
        assert producer.statistics()["connection-creation-total"] > made
    check(secured, sent)


async def test_a_connection_that_was_idle_past_its_end_is_renewed_at_the_next_record(secured: EmbeddedCluster) -> None:
    async with client(secured) as producer:
        await producer.send("t", b"0", partition=0)
        made = producer.statistics()["connection-creation-total"]
        secured.expire_sessions()
        await anyio.sleep(LIFETIME_MS / 1000)
        await producer.send("t", b"1", partition=0)
        figures = producer.statistics()
        assert figures["successful-reauthentication-total"] == 1
        assert figures["connection-creation-total"] == made
    assert [record.value for record in secured.records("t")] == [b"0", b"1"]


async def test_close_in_the_middle_delivers_what_was_held(secured: EmbeddedCluster) -> None:
    calls = 0

    async def slow() -> str:
        nonlocal calls
        calls += 1
        if calls > 2:
            await anyio.sleep(0.2)
        return "wonderland"

    producer = client(secured, "PLAIN", sasl_password=slow)
    async with producer:
        await producer.send("t", b"0", partition=0)
        await anyio.sleep(LIFETIME_MS / 1000)
        delivery = producer.submit_nowait("t", b"1", partition=0)
        await until(lambda: calls > 2)
    assert (await delivery).offset == 1


async def test_tokens_are_fetched_ahead_of_their_end_though_nobody_logs_in(secured: EmbeddedCluster) -> None:
    fetched = 0

    async def provider() -> Token:
        nonlocal fetched
        fetched += 1
        return token_of(secured, 3)

    async with client(
        secured,
        "OAUTHBEARER",
        sasl_oauth_token_provider=provider,
        sasl_login_refresh_window_factor=0.5,
        sasl_login_refresh_window_jitter=0.0,
        sasl_login_refresh_min_period_seconds=0,
        sasl_login_refresh_buffer_seconds=0,
    ) as producer:
        await producer.send("t", b"0")
        before = fetched
        await until(lambda: fetched > before, seconds=20)
    await anyio.lowlevel.checkpoint()
    assert producer.statistics()["successful-reauthentication-total"] == 0


@pytest.mark.parametrize("what", ["its own class", "a cancellation"])
async def test_whatever_a_token_provider_raises_ahead_of_time_the_producer_goes_on(
    secured: EmbeddedCluster, what: str
) -> None:
    class Odd(BaseException):
        pass

    is_odd, raised = False, 0

    async def provider() -> Token:
        nonlocal is_odd, raised
        if is_odd:
            is_odd, raised = False, raised + 1
            raise Odd if what == "its own class" else asyncio.CancelledError
        return token_of(secured, 3)

    async with client(
        secured,
        "OAUTHBEARER",
        sasl_oauth_token_provider=provider,
        sasl_login_refresh_window_factor=0.5,
        sasl_login_refresh_window_jitter=0.0,
        sasl_login_refresh_min_period_seconds=0,
        sasl_login_refresh_buffer_seconds=0,
    ) as producer:
        await producer.send("t", b"0")
        is_odd = True  # nobody logs in now: the next to ask is who fetches ahead
        await until(lambda: raised == 1, seconds=20)
        await anyio.sleep(0.05)
        assert (await producer.send("t", b"1")).offset >= 0
