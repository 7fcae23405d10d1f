"""What changes while a producer runs, on a real Kafka: rights, certificates, and who a delegation token stands for."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest
import trustme

from aioproducer import Producer, ProducerConfig, _backend
from aioproducer._net.dialer import Dialer
from aioproducer._runtime.setup_steps import prepared_steps
from aioproducer.errors import AuthenticationError, AuthorizationError
from aioproducer.testing import RealCluster, read_topic
from tests.conftest import BACKENDS
from tests.servers import pem

pytestmark = pytest.mark.kafka

administration: Any = import_module("confluent_kafka.admin")  # the other client has no types

USER: Final = "alice"
PASSWORD: Final = "alice-password"
LISTENERS: Final = {"SCRAM": "SASL_PLAINTEXT", "MTLS": "SSL"}
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """What is tried here is far from the event loop."""
    return BACKENDS["asyncio"]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A cluster with an authorizer; clients of its first listener are administrators."""

    cluster: RealCluster
    folder: Path
    ca: trustme.CA

    def as_alice(self, **settings: Any) -> dict[str, Any]:
        """What her producer needs."""
        who = {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": USER, "sasl_password": PASSWORD}
        return {
            "bootstrap_servers": self.cluster.servers("SCRAM"),
            "security_protocol": "SASL_PLAINTEXT",
            "linger_ms": 0,
            "max_block_ms": 20_000,
            **who,
            **settings,
        }


def _properties(folder: Path) -> dict[str, str]:
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "true",
        "delegation.token.secret.key": "a key that all brokers share",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "listener.name.scram.scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
        "listener.name.mtls.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "server-trusts.pem"),
    }


def issue(folder: Path, ca: trustme.CA, *, trusts: list[trustme.CA]) -> None:
    """Write, or write anew, what the broker and a client have: certificates of one CA, and those they trust."""
    trusted = b"".join(each.cert_pem.bytes() for each in trusts)
    pem.write(folder, "server.pem", pem.key_and_chain(ca.issue_cert("localhost", "127.0.0.1")))
    pem.write(folder, "client.pem", pem.key_and_chain(ca.issue_cert("alice@example.test")))
    pem.write(folder, "server-trusts.pem", trusted)
    pem.write(folder, "client-trusts.pem", trusted)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder, ca = tmp_path_factory.mktemp("guarded"), trustme.CA()
    issue(folder, ca, trusts=[ca])
    users = ["--add-scram", f"SCRAM-SHA-256=[name={USER},password={PASSWORD},iterations=4096]"]
    with RealCluster(listeners=LISTENERS, properties=_properties(folder), format_arguments=users) as cluster:
        yield Guarded(cluster, folder, ca)


# ── rights ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Denial:
    """One thing that Alice may not do; it takes back what it has denied."""

    def __init__(self, cluster: RealCluster, resource: Any, name: str, operation: Any) -> None:
        self._admin: Any = administration.AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
        self._what = resource, name, administration.ResourcePatternType.LITERAL, f"User:{USER}", "*", operation

    def begin(self) -> None:
        for future in self._admin.create_acls(
            [administration.AclBinding(*self._what, administration.AclPermissionType.DENY)]
        ).values():
            future.result(20)

    def end(self) -> None:
        for future in self._admin.delete_acls(
            [administration.AclBindingFilter(*self._what, administration.AclPermissionType.DENY)]
        ).values():
            assert future.result(20)


async def test_a_topic_is_denied_and_granted_again(guarded: Guarded) -> None:
    denial = Denial(guarded.cluster, administration.ResourceType.TOPIC, "guarded", administration.AclOperation.WRITE)
    async with Producer(**guarded.as_alice()) as producer:
        await producer.send("guarded", b"before")
        await producer.send("open", b"before")
        await anyio.to_thread.run_sync(denial.begin)
        with anyio.fail_after(20), pytest.raises(AuthorizationError) as caught:
            while True:  # a broker learns of it a moment later
                await producer.send("guarded", b"perhaps")
        assert caught.value.code == 29
        assert "for topic 'guarded'" in str(caught.value)
        assert (await producer.send("open", b"meanwhile")).offset == 1
        await anyio.to_thread.run_sync(denial.end)
        with anyio.fail_after(20):
            while True:
                try:
                    await producer.send("guarded", b"after")
                    break
                except AuthorizationError:
                    pass
    values = [
        record.value
        for record in await read_topic(guarded.cluster.servers("SCRAM"), "guarded", settings=guarded.as_alice())
    ]
    assert (values[0], values[-1]) == (b"before", b"after")
    assert values.count(b"after") == 1


async def test_a_transactional_id_is_denied_at_start_and_granted_again(guarded: Guarded) -> None:
    denial = Denial(
        guarded.cluster, administration.ResourceType.TRANSACTIONAL_ID, "payments", administration.AclOperation.WRITE
    )
    await anyio.to_thread.run_sync(denial.begin)
    settings = guarded.as_alice(transactional_id="payments")
    with anyio.fail_after(20), pytest.raises(AuthorizationError) as caught:
        while True:
            async with Producer(**settings):
                pass
    assert caught.value.code == 53
    assert "for transactional id 'payments'" in str(caught.value)
    await anyio.to_thread.run_sync(denial.end)
    with anyio.fail_after(20):
        while True:
            try:
                async with Producer(**settings) as producer, producer.transaction():
                    await producer.send("paid", b"x")
                break
            except AuthorizationError:
                pass


# ── delegation tokens ────────────────────────────────────────────────────────────────────────────────────────────────


async def create_delegation_token(settings: dict[str, Any]) -> tuple[str, str]:
    """Ask for a token of whoever logs in with these settings (CreateDelegationToken 1); its id and HMAC."""
    backend = _backend.current()
    host, _, port = settings["bootstrap_servers"].partition(":")
    steps = await prepared_steps(ProducerConfig(**settings))
    dialer = Dialer(backend.tcp_connector(-1, -1), "test", backend.clock, steps=steps)
    connection = (await dialer.dial(host, int(port))).connection
    request = struct.pack(">hhih4siq", 38, 1, 7, 4, b"test", 0, -1)  # nobody else may renew it, for the usual time
    await connection.send(struct.pack(">i", len(request)) + request)
    frames: list[bytes] = []
    while not frames:
        frames = await connection.read_frames()
    await connection.aclose()
    answer = memoryview(frames[0])[4:]
    (error_code,) = struct.unpack_from(">h", answer)
    assert error_code == 0
    position = 2
    texts: list[bytes] = []
    for _ in range(2):  # the owner's kind and name
        (size,) = struct.unpack_from(">h", answer, position)
        position += 2 + size
    position += 3 * 8  # issued, expires, at most
    (size,) = struct.unpack_from(">h", answer, position)
    texts.append(bytes(answer[position + 2 : position + 2 + size]))
    position += 2 + size
    (size,) = struct.unpack_from(">i", answer, position)
    return texts[0].decode(), base64.b64encode(answer[position + 4 : position + 4 + size]).decode()


async def until_known(settings: dict[str, Any]) -> None:
    """Wait until the broker knows a token that it has issued: a moment later."""
    with anyio.fail_after(20):
        while True:
            try:
                async with Producer(**settings):
                    return
            except AuthenticationError:
                pass


async def test_a_delegation_token_stands_for_its_owner(guarded: Guarded) -> None:
    token_id, hmac = await create_delegation_token(guarded.as_alice())
    by_token = {"sasl_username": token_id, "sasl_password": hmac}
    await until_known(guarded.as_alice(**by_token, sasl_scram_token_auth=True))
    async with Producer(**guarded.as_alice(**by_token, sasl_scram_token_auth=True)) as producer:
        assert (await producer.send("delegated", b"x")).offset == 0
    jaas = f'{_SCRAM} required username="{token_id}" password="{hmac}" tokenauth="true";'
    in_javas_form = guarded.as_alice(sasl_jaas_config=jaas, sasl_username=None, sasl_password=None)
    denial = Denial(guarded.cluster, administration.ResourceType.TOPIC, "delegated", administration.AclOperation.WRITE)
    async with Producer(**in_javas_form) as producer:
        assert (await producer.send("delegated", b"x")).offset == 1
        await anyio.to_thread.run_sync(denial.begin)  # for Alice: whoever has her token is her
        with anyio.fail_after(20), pytest.raises(AuthorizationError):
            while True:
                await producer.send("delegated", b"x")
    await anyio.to_thread.run_sync(denial.end)
    with anyio.fail_after(20), pytest.raises(AuthenticationError, match="unknown user"):
        async with Producer(**guarded.as_alice(**by_token)):  # as if it were a user's password
            pass
    with anyio.fail_after(20), pytest.raises(AuthenticationError, match="wrong password"):
        async with Producer(**guarded.as_alice(sasl_username=token_id, sasl_password="x", sasl_scram_token_auth=True)):
            pass


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_certificate_is_replaced_while_records_flow(guarded: Guarded) -> None:
    settings: dict[str, Any] = {
        "bootstrap_servers": guarded.cluster.servers("MTLS"),
        "security_protocol": "SSL",
        "ssl_truststore_location": str(guarded.folder / "client-trusts.pem"),
        "ssl_keystore_location": str(guarded.folder / "client.pem"),
        "linger_ms": 0,
    }
    deliveries: list[Any] = []
    is_over = False

    async def go_on(producer: Producer[bytes, bytes]) -> None:
        while not is_over:
            deliveries.append(producer.submit_nowait("rotated", str(len(deliveries)).encode()))
            await anyio.sleep(0.02)

    async with Producer(**settings) as producer, anyio.create_task_group() as tasks:
        await producer.send("rotated", b"first")
        tasks.start_soon(go_on, producer)
        other = trustme.CA()
        issue(guarded.folder, other, trusts=[other])  # nothing of before is good any more
        await deliveries_up_to(deliveries, 20)  # the open connection goes on
        await anyio.to_thread.run_sync(guarded.cluster.restart, 1)
        await deliveries_up_to(deliveries, len(deliveries) + 20)
        is_over = True
    with anyio.fail_after(40):
        offsets = [(await delivery).offset for delivery in deliveries]
    assert offsets == list(range(1, len(offsets) + 1))


async def deliveries_up_to(deliveries: list[Any], count: int) -> None:
    """Wait until so many have been submitted, and the last of these is delivered."""
    with anyio.fail_after(40):
        while len(deliveries) < count:  # noqa: ASYNC110 - whoever appends is the load, which tells nobody
            await anyio.sleep(0.02)
        await deliveries[count - 1]
