"""What is said of a cloud's brokers when a start has failed."""

from __future__ import annotations

from typing import Any

import pytest

from aioproducer import BootstrapError, ProducerConfig
from aioproducer._config.clouds import SERVICES, add_hints, hints_for

CONFLUENT = "pkc-1.eu-west-1.aws.confluent.cloud:9092"
MSK = "b-1.demo.abc123.c2.kafka.eu-west-1.amazonaws.com"
SERVERLESS = "boot-1.c1.kafka-serverless.eu-west-1.amazonaws.com"
EVENT_HUBS = "demo.servicebus.windows.net:9093"
GOOGLE = "bootstrap.demo.europe-west1.managedkafka.project.cloud.goog:9092"
AIVEN = "demo-project.aivencloud.com:12345"
OCI = "cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com:9092"
CONNECTION = "Endpoint=sb://demo.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=made-up"
CA = {"ssl_truststore_certificates": "-----BEGIN CERTIFICATE-----\nmade-up\n-----END CERTIFICATE-----"}


def login(mechanism: str, username: str = "made-up", password: str = "made-up-password") -> dict[str, Any]:
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_username": username,
        "sasl_password": password,
    }


TOKENS: dict[str, Any] = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "OAUTHBEARER",
    "sasl_oauth_token_provider": lambda: "made-up",
}
OIDC: dict[str, Any] = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "OAUTHBEARER",
    "sasl_oauthbearer_token_endpoint_url": "https://login.example.test/token",
    "sasl_oauthbearer_client_credentials_client_id": "made-up",
    "sasl_oauthbearer_client_credentials_client_secret": "made-up-password",
}


@pytest.mark.parametrize(
    ("server", "settings", "words"),
    [
        (CONFLUENT, {}, ["Confluent Cloud: security_protocol is PLAINTEXT, and it takes SASL_SSL with PLAIN"]),
        (CONFLUENT, login("SCRAM-SHA-256"), ["SASL_SSL with SCRAM-SHA-256, and it takes SASL_SSL with PLAIN"]),
        (CONFLUENT.replace("9092", "443"), login("PLAIN"), ["the port is 443, and it takes", "on port 9092"]),
        (CONFLUENT, OIDC, ["logicalCluster"]),
        (f"{MSK}:9092", login("SCRAM-SHA-512"), ["port is 9092", "SCRAM-SHA-512 on port 9096 or 9196"]),
        (f"{MSK}:9096", login("SCRAM-SHA-256"), ["SASL_SSL with SCRAM-SHA-256", "SCRAM-SHA-512 on port 9096"]),
        (f"{MSK}:9094", TOKENS, ["port is 9094", "OAUTHBEARER on port 9098 or 9198"]),
        (f"{MSK}:9098", {}, ["port is 9098, and it takes PLAINTEXT on port 9092"]),
        (f"{MSK}.cn:9098", {"security_protocol": "SSL"}, ["SSL on port 9094 or 9194"]),
        (f"{SERVERLESS}:9098", login("SCRAM-SHA-512"), ["MSK Serverless: ", "OAUTHBEARER on port 9098"]),
        (EVENT_HUBS, login("PLAIN", "", CONNECTION) | {"sasl_username": "onnectionString"}, ["the word $Connection"]),
        (EVENT_HUBS, login("PLAIN", "$ConnectionString"), ["the whole connection string"]),
        (EVENT_HUBS.replace("9093", "9092"), TOKENS, ["on port 9093"]),
        (GOOGLE, login("SCRAM-SHA-512"), ["Google Managed Kafka: ", "OAUTHBEARER or PLAIN on port 9092"]),
        (AIVEN, {"security_protocol": "SSL"}, ["ca.pem", "service.cert"]),
        (AIVEN, login("PLAIN"), ["ca.pem"]),
        (AIVEN, {}, ["SSL, or SASL_SSL with PLAIN or SCRAM-SHA-256 or SCRAM-SHA-512"]),
        (OCI, login("PLAIN"), ["enable_idempotence=False"]),
    ],
)
def test_what_cannot_work_is_told_with_what_works(server: str, settings: dict[str, Any], words: list[str]) -> None:
    told = "; ".join(hints_for(ProducerConfig(bootstrap_servers=server, **settings)))
    assert not [word for word in words if word not in told], told
    assert "made-up" not in told


@pytest.mark.parametrize(
    ("server", "settings"),
    [
        (CONFLUENT, login("PLAIN")),
        (CONFLUENT, TOKENS),
        (CONFLUENT, OIDC | {"sasl_oauthbearer_extensions": {"logicalCluster": "lkc-1"}}),
        (f"{MSK}:9096", login("SCRAM-SHA-512")),
        (f"{MSK}:9198", TOKENS),
        (f"{MSK}:9092", {}),
        (f"{SERVERLESS}:9098", TOKENS),
        (EVENT_HUBS, login("PLAIN", "$ConnectionString", CONNECTION)),
        (GOOGLE, TOKENS),
        (AIVEN, login("SCRAM-SHA-512") | CA),
        (OCI, login("PLAIN") | {"enable_idempotence": False}),
        ("kafka.example.test:1", {}),
        ("confluent.cloud.example.test:1", {}),
    ],
)
def test_what_works_and_what_is_no_cloud_has_no_hint(server: str, settings: dict[str, Any]) -> None:
    assert hints_for(ProducerConfig(bootstrap_servers=server, **settings)) == []


def test_a_service_that_is_called_by_many_names_is_told_of_once() -> None:
    servers = [f"b-{number}.demo.abc123.c2.kafka.eu-west-1.amazonaws.com:9098" for number in range(3)]
    assert len(hints_for(ProducerConfig(bootstrap_servers=servers))) == 1


def test_hints_stand_at_the_end_of_the_error() -> None:
    error = BootstrapError("not reached", failures={("a", 1): "refused"})
    add_hints(error, ProducerConfig(bootstrap_servers="kafka.example.test:1"))
    assert str(error) == "not reached"
    add_hints(error, ProducerConfig(bootstrap_servers=OCI))
    assert str(error).startswith("not reached; OCI Streaming: security_protocol is PLAINTEXT")
    assert error.failures == {("a", 1): "refused"}


def test_each_service_has_a_way_in_by_tls() -> None:
    for service in SERVICES:
        assert any(way.protocol.endswith("SSL") for way in service.ways)
