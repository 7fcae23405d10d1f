"""The embedded cluster and real Kafka authenticate and authorize in the same steps: answers, words and ends.

Each script is a connection: what is sent, one request after the other. What is compared is each answer, and whether
the connection ended, with or without one, and whether it took the delay of a failure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from aioproducer._wire.frames import FrameBuffer, decode_response_header, encode_request
from aioproducer._wire.messages import RESPONSES
from aioproducer._wire.messages.add_partitions_to_txn import AddPartitionsToTxnRequest, AddPartitionsToTxnTopic
from aioproducer._wire.messages.api_versions import ApiVersionsRequest
from aioproducer._wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from aioproducer._wire.messages.delete_topics import DeleteTopicsRequest
from aioproducer._wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from aioproducer._wire.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from aioproducer._wire.messages.sasl_handshake import SaslHandshakeRequest
from aioproducer.testing import EmbeddedCluster, RealCluster
from aioproducer.testing._broker.tokens import unsecured_token
from tests.unit.testing._broker.helpers import batch, produce_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aioproducer._wire.schema import Request, Response

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "OAUTHBEARER")
REAUTH_MS: Final = 2_500
DELAY: Final = 0.1
SILENCE: Final = 3.0
ATTEMPTS: Final = 3
ORDERS: Final = "orders"
ALLOWED: Final = [
    ("alice", "WRITE", "TOPIC", ORDERS),
    ("alice", "DESCRIBE", "TOPIC", "seen"),
    ("alice", "WRITE", "TRANSACTIONAL_ID", "mine"),
    ("alice", "DESCRIBE", "GROUP", "readers"),
]

Send: TypeAlias = "tuple[Request, int]"
"""A request and its version."""

Reply: TypeAlias = "Callable[[bytes], Send]"
"""Makes the next request of the last answer's auth_bytes."""


@dataclass(frozen=True)
class Pause:
    """Nothing is sent for so many seconds."""

    seconds: float


Script: TypeAlias = "list[Send | Reply | Pause]"


# ── what is sent ──


def handshake(mechanism: str = "PLAIN") -> Send:
    return SaslHandshakeRequest(mechanism=mechanism), 1


def token(data: bytes, version: int = 2) -> Send:
    return SaslAuthenticateRequest(auth_bytes=data), version


def plain(user: str = "alice", password: str = "alice-secret", authzid: str = "") -> Send:
    return token(f"{authzid}\0{user}\0{password}".encode())


def bearer(value: str, *, header: str = "n,,", more: str = "") -> Send:
    return token(f"{header}\x01auth=Bearer {value}\x01{more}\x01".encode())


def unsecured(principal: str = "alice", lifetime: float = 600.0) -> str:
    return unsecured_token(principal, int(time.time() * 1000), lifetime)


def scram_final(password: str, bare: str = "n=alice,r=nonce") -> Reply:
    def answer(server_first: bytes) -> Send:
        if not server_first:
            return token(b"")  # there is nothing to answer
        told = dict(part.split("=", 1) for part in server_first.decode().split(","))
        without_proof = f"c=biws,r={told['r']}"
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(told["s"]), int(told["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        signed = f"{bare},{server_first.decode()},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(one ^ other for one, other in zip(key, signature, strict=True))).decode()
        return token(f"{without_proof},p={proof}".encode())

    return answer


VERSIONS: Final[Send] = (ApiVersionsRequest(client_software_name="test", client_software_version="1"), 3)
METADATA: Final[Send] = (MetadataRequest(topics=[]), 9)
CUT: Final = Pause(REAUTH_MS / 1000 + 0.3)
SCRAM_FIRST: Final = token(b"n,,n=alice,r=nonce")


def metadata(topic: str, *, create: bool = False) -> Send:
    asked = [MetadataRequestTopic(name=topic)]
    return MetadataRequest(topics=asked, allow_auto_topic_creation=create), 9


def find(key: str, key_type: int) -> Send:
    return FindCoordinatorRequest(key_type=key_type, coordinator_keys=[key]), 4


def add_partitions(*topics: str) -> Send:
    asked = [AddPartitionsToTxnTopic(name=topic, partitions=[0]) for topic in topics]
    return AddPartitionsToTxnRequest(
        v3_and_below_transactional_id="mine", v3_and_below_producer_id=123, v3_and_below_topics=asked
    ), 3


AUTHENTICATION: Final[dict[str, Callable[[], Script]]] = {
    "PLAIN": lambda: [VERSIONS, handshake(), plain(), METADATA, VERSIONS],
    "PLAIN, no ApiVersions": lambda: [handshake(), plain(), METADATA],
    "PLAIN, same authzid": lambda: [handshake(), plain(authzid="alice"), METADATA],
    "PLAIN, another authzid": lambda: [handshake(), plain(authzid="bob")],
    "PLAIN, wrong password": lambda: [handshake(), plain(password="wrong")],
    "PLAIN, unknown user": lambda: [handshake(), plain("mallory")],
    "PLAIN, no user": lambda: [handshake(), plain("")],
    "PLAIN, no password": lambda: [handshake(), plain(password="")],
    "PLAIN, two parts": lambda: [handshake(), token(b"alice\0secret")],
    "PLAIN, four parts": lambda: [handshake(), token(b"\0a\0b\0c\0d")],
    "SCRAM": lambda: [handshake("SCRAM-SHA-256"), SCRAM_FIRST, scram_final("alice-secret"), METADATA],
    "SCRAM, wrong password": lambda: [handshake("SCRAM-SHA-256"), SCRAM_FIRST, scram_final("wrong")],
    "SCRAM, unknown user": lambda: [handshake("SCRAM-SHA-256"), token(b"n,,n=mallory,r=nonce")],
    "SCRAM, channel binding wanted": lambda: [handshake("SCRAM-SHA-256"), token(b"y,,n=alice,r=nonce")],
    "SCRAM, another authzid": lambda: [handshake("SCRAM-SHA-256"), token(b"n,a=bob,n=alice,r=nonce")],
    "SCRAM, no message": lambda: [handshake("SCRAM-SHA-256"), token(b"hello")],
    "OAUTHBEARER": lambda: [handshake("OAUTHBEARER"), bearer(unsecured()), METADATA],
    "OAUTHBEARER, same authzid": lambda: [handshake("OAUTHBEARER"), bearer(unsecured(), header="n,a=alice,"), METADATA],
    "OAUTHBEARER, another authzid": lambda: [handshake("OAUTHBEARER"), bearer(unsecured(), header="n,a=bob,")],
    "OAUTHBEARER, expired": lambda: [handshake("OAUTHBEARER"), bearer(unsecured(lifetime=-9.0)), token(b"\x01")],
    "OAUTHBEARER, no token": lambda: [handshake("OAUTHBEARER"), bearer("abc"), token(b"\x01")],
    "OAUTHBEARER, no message": lambda: [handshake("OAUTHBEARER"), token(b"n,,\x01\x01")],
    "OAUTHBEARER, hyphen in extension": lambda: [handshake("OAUTHBEARER"), bearer(unsecured(), more="a-b=1\x01")],
    "OAUTHBEARER, short token": lambda: [handshake("OAUTHBEARER"), bearer(unsecured(lifetime=1.0)), METADATA],
    "mechanism not enabled": lambda: [VERSIONS, handshake("SCRAM-SHA-512")],
    "mechanism in lower case": lambda: [handshake("plain")],
    "request first": lambda: [METADATA],
    "request after ApiVersions": lambda: [VERSIONS, METADATA],
    "token first": lambda: [plain()],
    "ApiVersions twice": lambda: [VERSIONS, VERSIONS],
    "ApiVersions after the handshake": lambda: [handshake(), VERSIONS],
    "handshake twice": lambda: [handshake(), handshake()],
    "request after the handshake": lambda: [handshake(), METADATA],
    "token version 0": lambda: [handshake(), token(b"\0alice\0alice-secret", 0), METADATA],
    "token once more": lambda: [handshake(), plain(), plain(), METADATA],
}
SESSIONS: Final[dict[str, Callable[[], Script]]] = {
    "over": lambda: [handshake(), plain(), CUT, METADATA],
    "renewed": lambda: [handshake(), plain(), handshake(), plain(), METADATA],
    "renewed late": lambda: [handshake(), plain(), CUT, handshake(), plain(), METADATA],
    "renewed twice at once": lambda: [handshake(), plain(), handshake(), plain(), handshake(), METADATA],
    "renewed after a second": lambda: [handshake(), plain(), handshake(), plain(), Pause(1.1), handshake(), plain()],
    "renewed by another": lambda: [handshake(), plain(), handshake(), plain("bob", "bob-secret")],
    "renewed with a wrong password": lambda: [handshake(), plain(), handshake(), plain(password="wrong")],
    "renewed with another mechanism": lambda: [handshake(), plain(), handshake("SCRAM-SHA-256"), SCRAM_FIRST],
    "renewed with another mechanism, then nothing": lambda: [handshake(), plain(), handshake("SCRAM-SHA-256")],
    "renewed with another mechanism, then a request": lambda: [
        handshake(),
        plain(),
        handshake("SCRAM-SHA-256"),
        METADATA,
    ],
    "renewed with one not enabled": lambda: [handshake(), plain(), handshake("GSSAPI")],
    "request while renewed": lambda: [handshake(), plain(), handshake(), METADATA],
    "SCRAM renewed, wrong": lambda: [
        handshake("SCRAM-SHA-256"),
        SCRAM_FIRST,
        scram_final("alice-secret"),
        handshake("SCRAM-SHA-256"),
        SCRAM_FIRST,
        scram_final("wrong"),
    ],
    "old client": lambda: [handshake(), token(b"\0alice\0alice-secret", 0), CUT, METADATA],
}
ACCESS: Final[dict[str, Send]] = {
    "metadata, may write": metadata(ORDERS),
    "metadata, may describe": metadata("seen"),
    "metadata, may nothing": metadata("hidden"),
    "metadata, is not there": metadata("missing"),
    "metadata, would be created": metadata("missing", create=True),
    "metadata, all": (MetadataRequest(topics=None), 9),
    "produce, may": (produce_request(ORDERS, batch()), 9),
    "produce, may not": (produce_request("seen", batch()), 9),
    "produce, is not there": (produce_request("missing", batch()), 9),
    "produce, acks 0, may not": (produce_request("seen", batch(), acks=0), 9),
    "idempotent": (InitProducerIdRequest(transaction_timeout_ms=1000), 3),
    "transactional id, may not": (InitProducerIdRequest(transactional_id="yours", transaction_timeout_ms=1000), 3),
    "coordinator, may not": find("yours", 1),
    "coordinator of a group, may not": find("writers", 0),
    "partitions": add_partitions("seen", ORDERS),
    "fetch, may not": (
        FetchRequest(topics=[FetchTopic(topic=ORDERS, partitions=[FetchPartition(partition_max_bytes=1000)])]),
        11,
    ),
    "offsets, may": (
        ListOffsetsRequest(topics=[ListOffsetsTopic(name="seen", partitions=[ListOffsetsPartition(timestamp=-1)])]),
        5,
    ),
    "offsets, may not": (
        ListOffsetsRequest(topics=[ListOffsetsTopic(name="hidden", partitions=[ListOffsetsPartition(timestamp=-1)])]),
        5,
    ),
    "create": (
        CreateTopicsRequest(
            topics=[CreatableTopic(name="new", num_partitions=1, replication_factor=1)], timeout_ms=5000
        ),
        5,
    ),
    "delete": (DeleteTopicsRequest(topic_names=["seen"], timeout_ms=5000), 5),
}


# ── what is answered ──


class Conversation:
    """One connection to one cluster, and what it came to."""

    def __init__(self, server: str) -> None:
        host, port = server.split(":")
        self._socket = socket.create_connection((host, int(port)), SILENCE)
        self._frames = FrameBuffer()
        self._correlation_id = 0
        self._last = b""
        self.told: list[str] = []

    def play(self, script: Script) -> list[str]:
        """What each step came to, and whether the connection is open at the end."""
        with self._socket:
            for step in script:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    continue
                request, version = step(self._last) if callable(step) else step
                if not self._ask(request, version):
                    return self.told
            self.told.append("open" if self._receive(0.5) is None else "closed")
        return self.told

    def _ask(self, request: Request, version: int) -> bool:
        self._correlation_id += 1
        began = time.monotonic()
        try:
            self._socket.sendall(encode_request(request, version, self._correlation_id, "test"))
        except OSError:
            frame: bytes | None = b""
        else:
            frame = self._receive(SILENCE)
        late = " late" if time.monotonic() - began >= DELAY * 0.9 else ""
        if not frame:
            self.told.append("silence" if frame is None else f"closed{late}")
            return False
        correlation_id, body = decode_response_header(frame, request.api_key, version)
        assert correlation_id == self._correlation_id
        answer = RESPONSES[request.api_key].decode(body, version)
        if isinstance(answer, SaslAuthenticateResponse):
            self._last = answer.auth_bytes
        # An answer that is no failure may take its time, on a machine that has other work.
        self.told.append(told(answer) + (late if getattr(answer, "error_code", 0) else ""))
        return True

    def _receive(self, seconds: float) -> bytes | None:
        """The next frame; empty at the end, None when nothing comes."""
        self._socket.settimeout(seconds)
        try:
            while data := self._socket.recv(65536):
                frames = self._frames.feed(data)
                if frames:
                    return frames[0]
        except TimeoutError:
            return None
        except OSError:
            return b""
        return b""


def told(answer: Response) -> str:
    """An answer, without what depends on the cluster."""
    name = type(answer).__name__.removesuffix("Response")
    if isinstance(answer, SaslAuthenticateResponse):
        auth = answer.auth_bytes.decode()
        auth = re.sub(r"(?<=r=nonce)[^,]+", "…", re.sub(r"(?<=s=)[^,]+|(?<=v=).+", "…", auth))
        lifetime = "none" if not answer.session_lifetime_ms else f"≤ {-(-answer.session_lifetime_ms // 500) * 500}"
        return f"{name} {answer.error_code} {answer.error_message!r} {auth!r} lifetime {lifetime}"
    return f"{name} {' '.join(sorted(codes(answer)))}"


def codes(part: Any) -> list[str]:
    """Every error code, with the mechanisms and the names of topics."""
    found: list[str] = []
    for name in part.FIELDS:
        value = getattr(part, name)
        if "error_code" in name or name in ("mechanisms", "name", "topic"):
            found.append(f"{name}={value}")
        elif isinstance(value, list) and name not in (
            "api_keys",
            "brokers",
            "supported_features",
            "finalized_features",
        ):
            values: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            for each in values:
                if hasattr(each, "FIELDS"):
                    found += codes(each)
    return found


# ── the clusters ──

_CLIENT: Final = "listener.name.client."
_MODULES: Final = "org.apache.kafka.common.security"
PROPERTIES: Final = {
    f"{_CLIENT}sasl.enabled.mechanisms": ",".join(MECHANISMS),
    f"{_CLIENT}plain.sasl.jaas.config": f'{_MODULES}.plain.PlainLoginModule required user_alice="alice-secret" '
    'user_bob="bob-secret" user_admin="admin-secret";',
    f"{_CLIENT}scram-sha-256.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
    f"{_CLIENT}oauthbearer.sasl.jaas.config": f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required "
    'unsecuredLoginStringClaim_sub="x";',
    f"{_CLIENT}oauthbearer.sasl.server.callback.handler.class": f"{_MODULES}.oauthbearer.internals.unsecured"
    ".OAuthBearerUnsecuredValidatorCallbackHandler",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS;User:admin",
}
USERS: Final = {"alice": "alice-secret", "bob": "bob-secret", "admin": "admin-secret"}
SCRAM: Final = ["--add-scram", "SCRAM-SHA-256=[name=alice,password=alice-secret,iterations=4096]"]


@pytest.fixture(scope="module", params=[0, REAUTH_MS], ids=["for ever", "for a while"])
def servers(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, int]]:
    """Where the real one and the embedded one are, and for how long their sessions are good."""
    reauth_ms: int = request.param
    properties = PROPERTIES | {"connections.max.reauth.ms": str(reauth_ms)}
    with (
        RealCluster(client_security_protocol="SASL_PLAINTEXT", properties=properties, format_arguments=SCRAM) as real,
        EmbeddedCluster.running(
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanisms=MECHANISMS,
            users=USERS,
            connections_max_reauth_ms=reauth_ms,
            deny_by_default=True,
        ) as embedded,
    ):
        _grant_real(real.bootstrap_servers)
        for user, operation, kind, name in ALLOWED:
            where: dict[str, Any] = {kind.lower(): name}
            embedded.allow(user, operation, **where)  # type: ignore[arg-type]
        for topic in (ORDERS, "seen", "hidden"):
            embedded.create_topic(topic)
        yield real.bootstrap_servers, embedded.bootstrap_servers[0], reauth_ms


def _grant_real(server: str) -> None:
    import confluent_kafka.admin

    admin: Any = confluent_kafka.admin
    client = admin.AdminClient(
        {
            "bootstrap.servers": server,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "admin",
            "sasl.password": "admin-secret",
        }
    )
    topics = [admin.NewTopic(name, 1, 1) for name in (ORDERS, "seen", "hidden")]
    bindings = [
        admin.AclBinding(
            admin.ResourceType[kind],
            name,
            admin.ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            admin.AclOperation[operation],
            admin.AclPermissionType.ALLOW,
        )
        for user, operation, kind, name in ALLOWED
    ]
    for future in [*client.create_topics(topics).values(), *client.create_acls(bindings).values()]:
        future.result(20)
    time.sleep(0.5)  # grants reach the authorizer through the metadata log


def both(servers: tuple[str, str, int], script: Callable[[], Script]) -> tuple[list[str], list[str]]:
    """What both came to; once more when it is not the same, as what is late on a busy machine need not be meant so."""
    for attempt in range(ATTEMPTS):
        real, embedded = (Conversation(server).play(script()) for server in servers[:2])
        if real == embedded or attempt == ATTEMPTS - 1:
            return real, embedded
    raise AssertionError


@pytest.mark.parametrize("name", AUTHENTICATION)
def test_clients_authenticate(servers: tuple[str, str, int], name: str) -> None:
    real, embedded = both(servers, AUTHENTICATION[name])
    assert embedded == real


@pytest.mark.parametrize("name", SESSIONS)
def test_sessions_end_and_are_renewed(servers: tuple[str, str, int], name: str) -> None:
    real, embedded = both(servers, SESSIONS[name])
    assert embedded == real


@pytest.mark.parametrize("name", ACCESS)
def test_what_may_not_be_done_is_refused(servers: tuple[str, str, int], name: str) -> None:
    real, embedded = both(servers, lambda: [handshake(), plain(), ACCESS[name]])
    assert embedded == real
