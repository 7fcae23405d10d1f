"""Do other clients, as released, come into the embedded cluster as into Kafka, and are they kept out as there?

Every test is made for every client of tests/embedded/secure_clients.py:

                                               confluent-kafka   kafka-python   aiokafka
    TLS                                              ×                ×             ×
    a client certificate that must be there          ×                ×             ×
    PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, each        ×                ×             ×
      in the clear and over TLS
    OAUTHBEARER, likewise                            ×                ×             ×
    a wrong password, user, token, mechanism         ×                ×             ×
    an authority that is not known                   ×                ×             ×
    no client certificate, or a stranger's           ×                ×             ×
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import pytest

from aioproducer.testing import EmbeddedCluster
from aioproducer.testing._certificates import Certificates
from aioproducer.testing._security import SecurityProtocol
from tests.embedded.secure_clients import CLIENTS, Access, RefusedError, SecureClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aioproducer.testing import BlockingCluster
    from aioproducer.testing._cluster import ClusterSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:read_text is deprecated:DeprecationWarning", "ignore:open_text is deprecated:DeprecationWarning"
    ),
    pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name),
]

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
SASL: Final[list[SecurityProtocol]] = [each for each in get_args(SecurityProtocol) if each.startswith("SASL_")]


def running(protocol: SecurityProtocol) -> Iterator[BlockingCluster]:
    settings: ClusterSettings = {"security_protocol": protocol}
    if protocol.startswith("SASL_"):
        settings["users"] = {"alice": "secret"}
    with EmbeddedCluster.running(**settings) as cluster:
        yield cluster


@pytest.fixture(params=SASL)
def cluster(request: pytest.FixtureRequest) -> Iterator[BlockingCluster]:
    yield from running(request.param)


@pytest.fixture
def encrypted() -> Iterator[BlockingCluster]:
    yield from running("SSL")


@pytest.fixture
def mutual() -> Iterator[BlockingCluster]:
    with EmbeddedCluster.running(security_protocol="SSL", ssl_client_auth="required") as cluster:
        yield cluster


def arrives(cluster: BlockingCluster, client: SecureClient, access: Access) -> None:
    client.send(access, "orders", b"v")
    assert [record.value for record in cluster.records("orders")] == [b"v"]


def is_refused(cluster: BlockingCluster, client: SecureClient, access: Access) -> str:
    """What the client says."""
    with pytest.raises(RefusedError) as caught:
        client.send(access, "orders", b"v")
    assert cluster.records("orders") == []
    return str(caught.value)


def test_over_tls(encrypted: BlockingCluster, client: SecureClient) -> None:
    arrives(encrypted, client, Access.to(encrypted))


def test_with_a_certificate_of_its_own(mutual: BlockingCluster, client: SecureClient) -> None:
    arrives(mutual, client, Access.to(mutual))


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_with_sasl(cluster: BlockingCluster, client: SecureClient, mechanism: str) -> None:
    arrives(cluster, client, Access.to(cluster, mechanism))


@pytest.mark.parametrize("mechanism", MECHANISMS[:3])
def test_a_wrong_password(cluster: BlockingCluster, client: SecureClient, mechanism: str) -> None:
    said = is_refused(cluster, client, Access.to(cluster, mechanism).but(password="wrong"))
    assert "wrong" not in said


@pytest.mark.parametrize("mechanism", MECHANISMS[:3])
def test_a_user_that_is_not_known(cluster: BlockingCluster, client: SecureClient, mechanism: str) -> None:
    is_refused(cluster, client, Access.to(cluster, mechanism).but(user="mallory"))


def test_a_token_of_nobody(cluster: BlockingCluster, client: SecureClient) -> None:
    is_refused(cluster, client, Access.to(cluster, "OAUTHBEARER").but(token="a.b.c"))


def test_a_mechanism_that_is_not_enabled(client: SecureClient) -> None:
    with EmbeddedCluster.running(
        security_protocol="SASL_PLAINTEXT", sasl_mechanisms=["SCRAM-SHA-512"], users={"alice": "secret"}
    ) as cluster:
        is_refused(cluster, client, Access.to(cluster, "SCRAM-SHA-512").but(mechanism="PLAIN"))


def test_an_authority_that_is_not_known(encrypted: BlockingCluster, client: SecureClient) -> None:
    stranger = Certificates("none")
    try:
        is_refused(encrypted, client, Access.to(encrypted).but(ca_file=stranger.ca_file))
    finally:
        stranger.close()


def test_no_certificate_where_there_must_be_one(mutual: BlockingCluster, client: SecureClient) -> None:
    is_refused(mutual, client, Access.to(mutual).but(certfile=None, keyfile=None))


def test_a_strangers_certificate(mutual: BlockingCluster, client: SecureClient) -> None:
    stranger = Certificates("none")
    try:
        theirs = stranger.issue("alice")
        is_refused(mutual, client, Access.to(mutual).but(certfile=theirs.certfile, keyfile=theirs.keyfile))
    finally:
        stranger.close()
