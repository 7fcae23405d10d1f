"""Do other clients, as released, find in the embedded cluster what they find in Kafka?

Every test is made for every client of tests/embedded/clients.py, so that none is left out:

                                          confluent-kafka   kafka-python   aiokafka
    idempotent, every codec                     ×                ×             ×
    a batch whose answer is lost                ×                ×             ×
    a leader that moves                         ×                ×             ×
    transactions: commit, abort, fencing        ×                ×             ×
    offsets in a transaction                    ×                ×             ×
    assigned partitions, both isolations        ×                ×             ×
    admin: create, describe, grow, delete       ×                ×             ×
    what is not there is refused                ×                ×             ×
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from aioproducer._records.decode import read_header
from aioproducer._types import TopicPartition
from aioproducer.testing import EmbeddedCluster
from tests.embedded.clients import CLIENTS, CODECS, HEADERS, KEY, Client, Codec, Described, FencedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aioproducer.testing import BlockingCluster
    from tests.embedded.clients import Isolation

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:read_text is deprecated:DeprecationWarning", "ignore:open_text is deprecated:DeprecationWarning"
    ),
    pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name),
]

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "embedded.md"
VALUES: Final = [b"%d " % number * 20 for number in range(50)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[BlockingCluster]:
    with EmbeddedCluster.running(brokers=2) as cluster:
        yield cluster


@pytest.fixture
def servers(cluster: BlockingCluster) -> list[str]:
    return cluster.bootstrap_servers


@pytest.fixture
def topic(cluster: BlockingCluster, client: Client, request: pytest.FixtureRequest) -> str:
    """A topic of the test's own, of two partitions, with a leader on each broker."""
    name = f"{client.name}-{request.function.__name__}-{request.node.callspec.indices}".translate(
        str.maketrans("{}' :,", "------")
    )
    cluster.create_topic(name, 2)
    return name


def values(cluster: BlockingCluster, topic: str) -> list[bytes | None]:
    return [record.value for record in cluster.records(topic)]


# ── producing ──


@pytest.mark.parametrize("codec", CODECS)
def test_records_are_written_once_each_compressed_as_asked(
    cluster: BlockingCluster, servers: list[str], topic: str, client: Client, codec: Codec
) -> None:
    with client.writer(servers, codec) as writer:
        assert writer.send(topic, VALUES) == list(range(len(VALUES)))
    records = cluster.records(topic)
    assert [record.value for record in records] == VALUES
    assert [record.sequence for record in records] == list(range(len(VALUES)))
    assert {(record.key, record.headers) for record in records} == {(KEY, tuple(HEADERS))}
    assert records[0].producer_id >= 0
    partition = cluster.core.state.partition(topic, 0)
    assert partition is not None
    assert {read_header(batch.data).codec for batch in partition.log.batches} == {CODECS.index(codec)}
    assert client.read(servers, topic, len(VALUES), "read_uncommitted") == VALUES


def test_a_batch_whose_answer_is_lost_is_repeated_and_written_once(
    cluster: BlockingCluster, servers: list[str], topic: str, client: Client
) -> None:
    with client.writer(servers) as writer:
        writer.send(topic, [b"0"])
        fault = cluster.lose_response_once(topic=topic)
        assert writer.send(topic, [b"1"]) == [1]
    assert fault.hits == 1
    assert values(cluster, topic) == [b"0", b"1"]


def test_a_leader_that_moved_is_followed(
    cluster: BlockingCluster, servers: list[str], topic: str, client: Client
) -> None:
    with client.writer(servers) as writer:
        for number in range(3):
            assert writer.send(topic, [b"%d" % number]) == [number]
            cluster.move_leader(topic)
    assert values(cluster, topic) == [b"0", b"1", b"2"]


# ── transactions ──


def test_transactions_are_committed_or_aborted(
    cluster: BlockingCluster, servers: list[str], topic: str, client: Client
) -> None:
    with client.writer(servers, transactional_id=topic) as writer:
        for number, ends in enumerate([writer.commit, writer.abort, writer.commit]):
            writer.begin()
            writer.send(topic, [b"%d" % number])
            ends()
    cluster.expect(topic, values=[b"0", b"2"], isolation="read_committed")
    assert values(cluster, topic) == [b"0", b"1", b"2"]


def test_a_producer_is_fenced_by_the_next_one(
    cluster: BlockingCluster, servers: list[str], topic: str, client: Client
) -> None:
    with client.writer(servers, transactional_id=topic) as first:
        first.begin()
        first.send(topic, [b"0"])
        with client.writer(servers, transactional_id=topic) as second:
            with pytest.raises(FencedError):
                first.commit()
            second.begin()
            second.send(topic, [b"1"])
            second.commit()
    cluster.expect(topic, values=[b"1"], isolation="read_committed")


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "abort"])
def test_offsets_are_part_of_the_transaction(
    cluster: BlockingCluster, servers: list[str], topic: str, client: Client, commits: bool
) -> None:
    group = f"group-{topic}"
    with client.writer(servers, transactional_id=topic) as writer:
        writer.begin()
        writer.send(topic, [b"0"])
        writer.send_offset(topic, 42, group)
        assert cluster.committed_offsets(group) == {}
        (writer.commit if commits else writer.abort)()
    if commits:
        assert cluster.committed_offsets(group) == {TopicPartition(topic, 0): 42}
        assert client.committed(servers, topic, group) == 42
    else:
        assert cluster.committed_offsets(group) == {}


# ── consuming ──


@pytest.mark.parametrize("isolation", ["read_uncommitted", "read_committed"])
def test_assigned_partitions_are_read(
    cluster: BlockingCluster, servers: list[str], topic: str, client: Client, isolation: Isolation
) -> None:
    with client.writer(servers, transactional_id=topic) as writer:
        for number, ends in enumerate([writer.commit, writer.abort, writer.commit]):
            writer.begin()
            for partition in range(2):
                writer.send(topic, [b"%d-%d" % (partition, number)], partition)
            ends()
        writer.begin()
        writer.send(topic, [b"open"])
        kept = (0, 2) if isolation == "read_committed" else (0, 1, 2)
        wanted = [[b"%d-%d" % (partition, number) for number in kept] for partition in range(2)]
        if isolation == "read_uncommitted":
            wanted[0].append(b"open")
        assert client.read(servers, topic, sum(map(len, wanted)), isolation) == wanted[0] + wanted[1]
        writer.abort()


# ── administration ──


def test_topics_are_created_described_grown_and_deleted(
    cluster: BlockingCluster, servers: list[str], client: Client
) -> None:
    name = f"admin-{client.name}"
    with client.admin(servers) as admin:
        admin.create(name, 3, 2, {"max.message.bytes": "1234"})
        assert admin.describe(name) == Described(3, 2, "1234")
        admin.grow(name, 4)
        assert admin.describe(name) == Described(4, 2, "1234")
        assert name in admin.names()
        admin.delete(name)
        assert name not in admin.names()
    assert name not in cluster.core.state.topics


def test_topics_that_are_wrong_are_refused(cluster: BlockingCluster, servers: list[str], client: Client) -> None:
    name = f"refused-{client.name}"
    cluster.create_topic(name)
    with client.admin(servers) as admin:
        for replicas, config in ((3, {}), (1, {"no.such.setting": "1"}), (1, {"retention.bytes": "many"})):
            with pytest.raises(Exception, match=r"(?i)replication|config|setting"):
                admin.create(f"{name}-wrong", 1, replicas, config)
        with pytest.raises(Exception, match=r"(?i)exists"):
            admin.create(name, 1, 1, {})
        with pytest.raises(Exception, match=r"(?i)unknown"):
            admin.delete(f"{name}-wrong")
    assert f"{name}-wrong" not in cluster.core.state.topics


def test_what_is_not_there_is_refused_and_not_pretended(servers: list[str], client: Client) -> None:
    with client.admin(servers) as admin, pytest.raises(Exception, match=r"(?i)version|support"):
        admin.ask_for_groups()


def test_the_page_names_the_version_that_is_tested(client: Client) -> None:
    (line,) = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| {client.name} ")]
    assert line.split("|")[2].strip() == version(client.name)
