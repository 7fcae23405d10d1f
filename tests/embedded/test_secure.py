"""Who comes into the embedded cluster and who does not: TLS, SASL, sessions and ACLs over TCP, on every event loop."""

from __future__ import annotations

import ssl
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import pytest
from anyio.streams.tls import TLSStream

from aioproducer._wire.frames import FrameBuffer, decode_response_header, encode_request
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer._wire.messages.produce import ProduceResponse
from aioproducer._wire.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from aioproducer._wire.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from aioproducer.errors import AuthenticationError, ErrorCode, KafkaError
from aioproducer.testing import EmbeddedCluster, read_topic
from tests.unit.testing._broker.helpers import batch, produce_request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import ByteStream

    from aioproducer._wire.schema import Request, Response

T = TypeVar("T", bound="Response")
METADATA = MetadataRequest(topics=[])
GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Connection:
    """Asks one broker."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._buffer = FrameBuffer()
        self._correlation_id = 0

    async def ask(self, request: Request, version: int, answer: type[T]) -> T:
        self._correlation_id += 1
        await self.stream.send(encode_request(request, version, self._correlation_id, "test"))
        with anyio.fail_after(5):
            while not (frames := self._buffer.feed(await self.stream.receive())):
                pass
        correlation_id, body = decode_response_header(frames[0], answer.api_key, version)
        assert correlation_id == self._correlation_id
        return answer.decode(body, version)

    async def log_in(self, user: str = "alice", password: str = "secret") -> SaslAuthenticateResponse:
        shaken = await self.ask(SaslHandshakeRequest(mechanism="PLAIN"), 1, SaslHandshakeResponse)
        assert shaken.error_code == ErrorCode.NONE
        token = SaslAuthenticateRequest(auth_bytes=f"\0{user}\0{password}".encode())
        return await self.ask(token, 1, SaslAuthenticateResponse)

    async def produce(self, topic: str) -> int:
        """The error code."""
        answer = await self.ask(produce_request(topic, batch()), 9, ProduceResponse)
        return answer.responses[0].partition_responses[0].error_code


@asynccontextmanager
async def connected(cluster: EmbeddedCluster) -> AsyncGenerator[Connection]:
    host, port = cluster.bootstrap_servers[0].split(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        yield Connection(stream)


@asynccontextmanager
async def encrypted(cluster: EmbeddedCluster, context: ssl.SSLContext) -> AsyncGenerator[Connection]:
    host, port = cluster.bootstrap_servers[0].split(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        wrapped = await TLSStream.wrap(
            stream, hostname="localhost", ssl_context=context, server_side=False, standard_compatible=False
        )
        yield Connection(wrapped)
        await wrapped.aclose()


def trusting(cluster: EmbeddedCluster) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cluster.ca_file)


# ── TLS ──


async def test_requests_of_any_size_go_through_tls() -> None:
    async with EmbeddedCluster(security_protocol="SSL") as cluster, encrypted(cluster, trusting(cluster)) as client:
        await cluster.create_topic("orders")
        big = produce_request("orders", batch([b"x" * 900_000]))
        answer = await client.ask(big, 9, ProduceResponse)
        assert answer.responses[0].partition_responses[0].error_code == ErrorCode.NONE
        for _ in range(50):
            assert await client.produce("orders") == ErrorCode.NONE
        assert len(cluster.records("orders")) == 51


async def test_a_client_that_speaks_no_tls_is_cut_off_and_others_are_served() -> None:
    async with EmbeddedCluster(security_protocol="SSL") as cluster:
        async with connected(cluster) as client:
            with pytest.raises(GONE):
                while True:
                    await client.stream.send(encode_request(METADATA, 9, 1, "test"))
                    await client.stream.receive()
        async with encrypted(cluster, trusting(cluster)) as client:
            assert (await client.ask(METADATA, 9, MetadataResponse)).brokers


async def test_a_client_without_the_certificate_that_it_needs_is_told_by_an_alert() -> None:
    async with EmbeddedCluster(security_protocol="SSL", ssl_client_auth="required") as cluster:
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
            async with encrypted(cluster, trusting(cluster)) as client:
                await client.ask(METADATA, 9, MetadataResponse)


async def test_a_client_certificate_is_a_principal() -> None:
    async with EmbeddedCluster(security_protocol="SSL", ssl_client_auth="requested") as cluster:
        await cluster.create_topic("orders")
        mine = cluster.client_certificate("alice, of acme")
        assert mine.principal == "User:CN=alice\\, of acme,OU=testing,O=clients"
        cluster.deny(mine.principal, "WRITE", "orders")
        context = trusting(cluster)
        async with encrypted(cluster, context) as client:
            assert await client.produce("orders") == ErrorCode.NONE
        context.load_cert_chain(mine.certfile, mine.keyfile)
        async with encrypted(cluster, context) as client:
            assert await client.produce("orders") == ErrorCode.TOPIC_AUTHORIZATION_FAILED


async def test_another_certificate_is_for_new_connections() -> None:
    async with EmbeddedCluster(security_protocol="SSL") as cluster:
        before = trusting(cluster)
        async with encrypted(cluster, before) as client:
            cluster.rotate_certificate(new_authority=True)
            assert (await client.ask(METADATA, 9, MetadataResponse)).brokers
        with pytest.raises(ssl.SSLCertVerificationError):
            async with encrypted(cluster, before):
                pass
        async with encrypted(cluster, trusting(cluster)) as client:
            assert (await client.ask(METADATA, 9, MetadataResponse)).brokers


async def test_certificates_can_be_for_other_hosts_and_of_the_past() -> None:
    async with EmbeddedCluster(security_protocol="SSL") as cluster:
        cluster.rotate_certificate(["elsewhere.example"])
        with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)hostname mismatch"):
            async with encrypted(cluster, trusting(cluster)):
                pass
        cluster.rotate_certificate(not_after=datetime.now(UTC) - timedelta(days=1))
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            async with encrypted(cluster, trusting(cluster)):
                pass


async def test_nothing_of_tls_is_left_on_disk() -> None:
    async with EmbeddedCluster(security_protocol="SSL") as cluster:
        keyfile = cluster.client_certificate("alice").keyfile
        assert (await anyio.Path(keyfile).stat()).st_mode & 0o077 == 0
    assert not await anyio.Path(keyfile).parent.exists()


async def test_a_stopped_broker_ends_its_encrypted_connections() -> None:
    async with (
        EmbeddedCluster(brokers=2, security_protocol="SSL") as cluster,
        encrypted(cluster, trusting(cluster)) as client,
    ):
        await client.ask(METADATA, 9, MetadataResponse)
        await cluster.stop_broker(0)
        with pytest.raises(GONE):
            await client.stream.receive()


# ── SASL ──


async def test_a_user_comes_in_over_tls_and_is_refused_with_another_password() -> None:
    async with EmbeddedCluster(security_protocol="SASL_SSL", users={"alice": "secret"}) as cluster:
        async with encrypted(cluster, trusting(cluster)) as client:
            assert (await client.log_in()).error_code == ErrorCode.NONE
            assert (await client.ask(METADATA, 9, MetadataResponse)).brokers
        async with encrypted(cluster, trusting(cluster)) as client:
            began = anyio.current_time()
            assert (await client.log_in(password="wrong")).error_code == ErrorCode.SASL_AUTHENTICATION_FAILED
            assert anyio.current_time() - began >= 0.098  # uvloop's clock has whole milliseconds
            with pytest.raises(GONE):
                await client.stream.receive()


async def test_a_topic_is_read_by_whoever_may() -> None:
    async with EmbeddedCluster(security_protocol="SASL_SSL", users={"alice": "secret"}) as cluster:
        async with encrypted(cluster, trusting(cluster)) as client:
            await client.log_in()
            await client.ask(METADATA, 9, MetadataResponse)
            await cluster.create_topic("orders")
            assert await client.produce("orders") == ErrorCode.NONE
        settings = cluster.client_settings
        assert await read_topic(cluster.bootstrap_servers, "orders", settings=settings)
        with pytest.raises(AuthenticationError, match="wrong password"):
            await read_topic(cluster.bootstrap_servers, "orders", settings={**settings, "sasl_password": "other"})
        with pytest.raises(KafkaError):
            await read_topic(cluster.bootstrap_servers, "orders", timeout=10)


async def test_authentication_is_refused_on_purpose() -> None:
    async with EmbeddedCluster(security_protocol="SASL_PLAINTEXT", users={"alice": "secret"}) as cluster:
        fault = cluster.reject_auth(times=2)
        for expected in (ErrorCode.SASL_AUTHENTICATION_FAILED, ErrorCode.SASL_AUTHENTICATION_FAILED, ErrorCode.NONE):
            async with connected(cluster) as client:
                assert (await client.log_in()).error_code == expected
        assert fault.hits == 2


async def test_a_session_ends_on_purpose_and_can_be_renewed() -> None:
    async with (
        EmbeddedCluster(security_protocol="SASL_PLAINTEXT", users={"alice": "secret"}) as cluster,
        connected(cluster) as client,
    ):
        await client.log_in()
        assert cluster.expire_sessions() == 1
        assert (await client.log_in()).error_code == ErrorCode.NONE
        assert (await client.ask(METADATA, 9, MetadataResponse)).brokers
        cluster.expire_sessions()
        with pytest.raises(GONE):
            await client.ask(METADATA, 9, MetadataResponse)


async def test_passwords_change_and_users_go() -> None:
    async with EmbeddedCluster(
        security_protocol="SASL_PLAINTEXT",
        users={"alice": "secret"},
        connection_failed_authentication_delay_ms=0,
    ) as cluster:
        cluster.set_user("alice", "new")
        cluster.set_user("bob", "secret", ["SCRAM-SHA-256"])
        for user, password, is_right in (("alice", "secret", False), ("alice", "new", True), ("bob", "secret", False)):
            async with connected(cluster) as client:
                assert ((await client.log_in(user, password)).error_code == ErrorCode.NONE) is is_right
        cluster.remove_user("alice")
        async with connected(cluster) as client:
            assert (await client.log_in("alice", "new")).error_code == ErrorCode.SASL_AUTHENTICATION_FAILED


async def test_a_client_that_is_not_authenticated_may_not_send_much() -> None:
    async with (
        EmbeddedCluster(security_protocol="SASL_PLAINTEXT", users={"alice": "secret"}) as cluster,
        connected(cluster) as client,
    ):
        with pytest.raises(GONE):
            await client.ask(SaslAuthenticateRequest(auth_bytes=bytes(600_000)), 1, SaslAuthenticateResponse)


async def test_who_may_write_what_is_changed_while_it_runs() -> None:
    async with (
        EmbeddedCluster(security_protocol="SASL_PLAINTEXT", users={"alice": "secret"}) as cluster,
        connected(cluster) as client,
    ):
        await cluster.create_topic("orders")
        await client.log_in()
        cluster.deny("alice", "WRITE", "orders")
        assert await client.produce("orders") == ErrorCode.TOPIC_AUTHORIZATION_FAILED
        cluster.allow("alice", "WRITE", "orders")
        assert await client.produce("orders") == ErrorCode.NONE


# ── settings ──


async def test_settings_have_all_that_a_client_needs() -> None:
    users = {"alice": "secret", "bob": "other"}
    async with EmbeddedCluster(security_protocol="SASL_SSL", users=users) as cluster:
        assert cluster.client_settings == {
            "bootstrap_servers": cluster.bootstrap_servers,
            "security_protocol": "SASL_SSL",
            "ssl_truststore_location": cluster.ca_file,
            "sasl_mechanism": "PLAIN",
            "sasl_username": "alice",
            "sasl_password": "secret",
        }
        other = cluster.settings_for("bob", "SCRAM-SHA-512")
        assert (other["sasl_mechanism"], other["sasl_username"]) == ("SCRAM-SHA-512", "bob")
        provider = cluster.settings_for("bob", "OAUTHBEARER")["sasl_oauth_token_provider"]
        assert (await provider()).count(".") == 2
        with pytest.raises(KeyError):
            cluster.settings_for("nobody")
    async with EmbeddedCluster(security_protocol="SSL", ssl_client_auth="requested") as cluster:
        assert "ssl_certfile" not in cluster.client_settings
        assert "ssl_certfile" in cluster.settings_for("alice")
    async with EmbeddedCluster() as cluster:
        assert cluster.client_settings == {"bootstrap_servers": cluster.bootstrap_servers}


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="security_protocol='TLS' is none of PLAINTEXT, SSL"):
        EmbeddedCluster(security_protocol="TLS")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="GSSAPI not known"):
        EmbeddedCluster(security_protocol="SASL_SSL", sasl_mechanisms=["GSSAPI"])
    with pytest.raises(ValueError, match=r"sasl_mechanisms=\['PLAIN'\] does not go with security_protocol=SSL"):
        EmbeddedCluster(security_protocol="SSL", sasl_mechanisms=["PLAIN"])
    with pytest.raises(ValueError, match="ssl_client_auth=required does not go with"):
        EmbeddedCluster(security_protocol="SASL_PLAINTEXT", ssl_client_auth="required")
    with pytest.raises(ValueError, match="users does not go with security_protocol=SSL: it has no SASL"):
        EmbeddedCluster(security_protocol="SSL", users={"alice": "secret"})
    with pytest.raises(ValueError, match="no fewer than 4096"):
        EmbeddedCluster(security_protocol="SASL_PLAINTEXT", scram_iterations=1)


async def test_verbs_of_tls_need_tls() -> None:
    async with EmbeddedCluster() as cluster:
        with pytest.raises(ValueError, match="the cluster has no TLS"):
            cluster.rotate_certificate()


def test_an_acl_is_about_one_thing() -> None:
    cluster = EmbeddedCluster()
    with pytest.raises(TypeError, match="one of: a topic, group="):
        cluster.deny("alice", "WRITE")
    with pytest.raises(TypeError, match="one of"):
        cluster.deny("alice", "WRITE", "orders", cluster=True)
    with pytest.raises(ValueError, match="operation 'Write' is none of ALL, READ, WRITE"):
        cluster.deny("alice", "Write", "orders")  # type: ignore[arg-type]


def test_what_is_missing_for_tls_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'aioproducer\[testing\]'"):
        EmbeddedCluster(security_protocol="SSL")
    EmbeddedCluster(security_protocol="SASL_PLAINTEXT")


def test_a_cluster_in_a_thread_has_the_same_verbs() -> None:
    with EmbeddedCluster.running(security_protocol="SASL_SSL", users={"alice": "secret"}) as cluster:
        assert Path(cluster.client_settings["ssl_truststore_location"]).exists()
        assert Path(cluster.client_certificate("alice").certfile).exists()
        cluster.rotate_certificate()
        cluster.deny("*", "WRITE", "*")
        assert cluster.expire_sessions() == 0
        assert cluster.create_delegation_token("alice").owner == "alice"
