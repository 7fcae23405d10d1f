"""Addresses that lead elsewhere, or nowhere, and topics that are others than before. Embedded only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import Producer
from aioproducer._wire.messages import ApiKey
from aioproducer.errors import DeliveryTimeoutError
from aioproducer.testing import EmbeddedCluster
from tests.contract.support import until

if TYPE_CHECKING:
    from aioproducer import Stream

QUICK: dict[str, Any] = {
    "linger_ms": 0,
    "request_timeout_ms": 300,
    "retry_backoff_ms": 10,
    "retry_backoff_max_ms": 50,
    "reconnect_backoff_ms": 10,
    "reconnect_backoff_max_ms": 50,
    "socket_connection_setup_timeout_ms": 200,
    "socket_connection_setup_timeout_max_ms": 200,
}


class Names:
    """A producer's connector: the name "boot" leads to the cluster that a test says; addresses may swallow."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.swallowing: set[int] = set()
        self.lead_to(cluster)

    def lead_to(self, cluster: EmbeddedCluster) -> None:
        self._port = ports_of(cluster)[0]

    async def __call__(self, host: str, port: int) -> Stream:
        if host == "boot":
            host, port = "127.0.0.1", self._port
        if port in self.swallowing:
            await anyio.sleep_forever()
        return await anyio.connect_tcp(host, port)


def ports_of(cluster: EmbeddedCluster) -> list[int]:
    return [int(address.rpartition(":")[2]) for address in cluster.bootstrap_servers]


async def test_a_cluster_whose_addresses_are_all_new_is_found_by_its_name() -> None:
    async with EmbeddedCluster(seed=1) as before, EmbeddedCluster(seed=1) as after:
        names = Names(before)
        async with Producer(
            bootstrap_servers="boot:9092", connect=names, delivery_timeout_ms=20_000, **QUICK
        ) as producer:
            await producer.send("t", b"1")
            before.black_hole()  # nobody refuses a connection there: what is sent is swallowed
            names.swallowing.update(ports_of(before))
            names.lead_to(after)
            with anyio.fail_after(15):
                await producer.send("t", b"2")
            assert [record.value for record in after.records("t")] == [b"2"]


async def test_without_recovery_the_bootstrap_servers_are_not_asked_again() -> None:
    async with EmbeddedCluster(seed=1) as before, EmbeddedCluster(seed=1) as after:
        names = Names(before)
        async with Producer(
            bootstrap_servers="boot:9092",
            connect=names,
            metadata_recovery_strategy="none",
            delivery_timeout_ms=700,
            **QUICK,
        ) as producer:
            await producer.send("t", b"1")
            before.black_hole()
            names.swallowing.update(ports_of(before))
            names.lead_to(after)
            with pytest.raises(DeliveryTimeoutError):
                await producer.send("t", b"2")


@pytest.mark.parametrize("is_checking", [True, False])
async def test_records_go_to_another_cluster_only_if_that_is_allowed(
    caplog: pytest.LogCaptureFixture, is_checking: bool
) -> None:
    async with EmbeddedCluster(seed=1) as before, EmbeddedCluster(seed=2) as other:
        names = Names(before)
        async with Producer(
            bootstrap_servers="boot:9092",
            connect=names,
            delivery_timeout_ms=20_000,
            metadata_cluster_check_enable=is_checking,
            **QUICK,
        ) as producer:
            await producer.send("t", b"1")
            names.lead_to(other)
            stopped = before.bootstrap_servers
            await before.stop_broker(0)
            delivery = await producer.submit("t", b"2")
            if not is_checking:
                with anyio.fail_after(15):
                    await delivery
                assert [record.value for record in other.records("t")] == [b"2"]
                assert "the cluster's id changed" in caplog.text
                return
            ids = [cluster.core.state.cluster_id for cluster in (other, before)]
            await until(lambda: all(told in caplog.text for told in ids), seconds=15)
            await before.start_broker(0)
            assert before.bootstrap_servers == stopped
            with anyio.fail_after(15):
                await delivery
            assert [record.value for record in before.records("t")] == [b"1", b"2"]
            assert not other.records("t")


@pytest.mark.parametrize("metadata_version", [7, 9, 13])
async def test_a_topic_made_anew_after_its_leader_has_moved_goes_on(metadata_version: int) -> None:
    versions = {ApiKey.METADATA: metadata_version} | ({} if metadata_version > 9 else {ApiKey.PRODUCE: 9})
    async with EmbeddedCluster(brokers=3, max_versions=versions) as cluster:
        await cluster.create_topic("t", 1, replication_factor=3)
        async with Producer(
            bootstrap_servers=cluster.bootstrap_servers,
            allow_auto_create_topics=False,
            delivery_timeout_ms=20_000,
            **QUICK,
        ) as producer:
            for _ in range(4):
                cluster.move_leader("t")
                await producer.send("t", b"old")
            leader = cluster.leader("t")
            await cluster.delete_topic("t")
            await cluster.create_topic("t", 1, replication_factor=3)
            if cluster.leader("t") == leader:  # of a lower epoch than the producer knows of another one
                cluster.move_leader("t")
            with anyio.fail_after(15):
                for value in (b"1", b"2", b"3"):
                    await producer.send("t", value)
            assert [record.value for record in cluster.records("t")] == [b"1", b"2", b"3"]
