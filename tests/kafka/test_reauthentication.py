"""Sessions of a real Kafka that end, and are renewed on their connections while records flow (KIP-368)."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import anyio
import pytest

from aioproducer import Producer
from aioproducer.security import Token
from aioproducer.testing import RealCluster, read_topic
from aioproducer.testing._broker.tokens import unsecured_token

pytestmark = pytest.mark.kafka

USER: Final = "alice"
PASSWORD: Final = "alice-password"
LIFETIME_MS: Final = 2_000
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "OAUTHBEARER")
RENEWALS: Final = 3
"""Of each connection."""
PRODUCERS: Final = {"asyncio": 8, "trio": 1, "uvloop": 1}
"""On asyncio together more than twenty renewals."""
_MODULES: Final = "org.apache.kafka.common.security"


@pytest.fixture(scope="module")
def impatient() -> Iterator[RealCluster]:
    """A cluster whose sessions are short."""
    listener = "listener.name.login"
    properties = {
        "connections.max.reauth.ms": str(LIFETIME_MS),
        f"{listener}.sasl.enabled.mechanisms": ",".join(MECHANISMS),
        f"{listener}.plain.sasl.jaas.config": (f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'),
        f"{listener}.scram-sha-256.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
        f"{listener}.oauthbearer.sasl.jaas.config": (
            f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=broker;"
        ),
    }
    users = ["--add-scram", f"SCRAM-SHA-256=[name={USER},password={PASSWORD},iterations=4096]"]
    with RealCluster(
        listeners={"LOGIN": "SASL_PLAINTEXT"}, properties=properties, format_arguments=users, default_partitions=2
    ) as cluster:
        yield cluster


async def provider() -> Token:
    """A token of an hour, which nobody has signed."""
    now_ms = int(time.time() * 1000)
    return Token(unsecured_token(USER, now_ms, 3_600.0, {}), expires_at_ms=now_ms + 3_600_000)


def client(cluster: RealCluster, mechanism: Any) -> Producer[bytes, bytes]:
    who: dict[str, Any] = {"sasl_username": USER, "sasl_password": PASSWORD}
    if mechanism == "OAUTHBEARER":
        who = {"sasl_oauth_token_provider": provider}
    return Producer(
        bootstrap_servers=cluster.servers("LOGIN"),
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism=mechanism,
        linger_ms=1,
        **who,
    )


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_records_flow_through_renewals_on_the_same_connections(
    impatient: RealCluster, mechanism: str, request: pytest.FixtureRequest
) -> None:
    loop = next(each for each in PRODUCERS if each in request.node.callspec.id)
    topic = f"renewed-{mechanism.lower()}-{loop}"
    offsets: dict[int, dict[int, bytes]] = defaultdict(dict)
    pauses: list[float] = []
    renewals = 0

    async def work(name: int) -> None:
        nonlocal renewals
        async with client(impatient, mechanism) as producer:
            sent = 0
            await producer.send(topic, b"%d:%d" % (name, sent))
            made = producer.statistics()["connection-creation-total"]
            with anyio.fail_after(60):
                while producer.statistics()["successful-reauthentication-total"] < RENEWALS:
                    sent += 1
                    value = b"%d:%d" % (name, sent)
                    metadata = await producer.send(topic, value, partition=name % 2)
                    assert offsets[metadata.partition].setdefault(metadata.offset, value) == value
                    await anyio.sleep(0.005)
            figures = producer.statistics()
            assert figures["connection-creation-total"] <= made + 1, "the bootstrap server's, and the broker's"
            assert figures["record-retry-total"] == 0
            renewals += int(figures["successful-reauthentication-total"])
            pauses.append(figures["reauthentication-latency-max"])

    async with anyio.create_task_group() as producers:
        for name in range(PRODUCERS[loop]):
            producers.start_soon(work, name)
    assert renewals >= RENEWALS * PRODUCERS[loop]
    assert max(pauses) < 1_000
    assert statistics.median(pauses) < 200
    found: dict[bytes, list[int]] = defaultdict(list)
    for record in await read_topic(impatient.bootstrap_servers, topic):
        assert record.value is not None
        sender, _, number = record.value.partition(b":")
        found[sender].append(int(number))
        if int(number):
            assert offsets[record.partition][record.offset] == record.value
    for numbers in found.values():
        assert sorted(numbers) == list(range(len(numbers))), "each once"
        in_one_partition = [number for number in numbers if number]
        assert in_one_partition == sorted(in_one_partition)
