"""What contradicts itself in settings of TLS and SASL, and what follows from sasl.jaas.config."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from aioproducer import ConfigurationError, ProducerConfig
from aioproducer._secret import Secret
from aioproducer.security import AwsMskIam, GoogleCloud
from aioproducer.security._token import claims_of

PASSWORD = "pass-w0rd"
PLAIN: dict[str, Any] = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "PLAIN",
    "sasl_username": "u",
    "sasl_password": PASSWORD,
}
BEARER: dict[str, Any] = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
ENDPOINT: dict[str, Any] = {
    **BEARER,
    "sasl_oauthbearer_token_endpoint_url": "https://login.example/token",
    "sasl_oauthbearer_client_credentials_client_id": "c",
    "sasl_oauthbearer_client_credentials_client_secret": PASSWORD,
}

PROVIDER: dict[str, Any] = {**BEARER, "sasl_oauth_token_provider": lambda: ""}


def config(**settings: Any) -> ProducerConfig:
    return ProducerConfig(bootstrap_servers="a:1", **settings)


def problems(**settings: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        config(**settings)
    assert PASSWORD not in str(caught.value) + repr(caught.value)
    return list(caught.value.problems)


def problem(**settings: Any) -> str:
    (only,) = problems(**settings)
    return only


def jaas(module: str, options: str = "", **settings: Any) -> dict[str, Any]:
    given = {"security_protocol": "SASL_SSL", "sasl_jaas_config": f"org.example.{module} required {options};"}
    return {**given, **settings}


@pytest.mark.parametrize("settings", [PLAIN, ENDPOINT, {"security_protocol": "SSL"}, PROVIDER])
def test_what_is_complete_is_taken(settings: dict[str, Any]) -> None:
    made = config(**settings)
    assert not made.warnings
    assert PASSWORD not in repr(made) + str(made.describe())


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_credentials_with_a_protocol_that_does_not_log_in(protocol: str) -> None:
    told = problem(**{**PLAIN, "security_protocol": protocol})
    assert told.startswith(f"security_protocol is {protocol}, which does not log in")
    assert "did you mean SASL_SSL" in told


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_settings_of_tls_with_a_protocol_without_it(protocol: str) -> None:
    told = problem(security_protocol=protocol, ssl_cipher_suites="A")
    assert "ssl_cipher_suites is given" in told


def test_bare_defaults_are_nothing_given() -> None:
    assert config(ssl_endpoint_identification_algorithm="https", sasl_mechanism=None).security_protocol == "PLAINTEXT"


def test_a_login_without_a_mechanism() -> None:
    assert "sasl_mechanism is missing" in problem(security_protocol="SASL_SSL")
    told = problems(**jaas("PlainLoginModule", f'username="u" password="{PASSWORD}"'))
    assert told == ["sasl_mechanism is missing; the login module of sasl_jaas_config is for PLAIN"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"sasl_username": None}, "sasl_username is missing"),
        ({"sasl_password": ""}, "sasl_password is missing"),
        ({"sasl_password": "a\0b"}, "sasl_password has a NUL at character 2"),
        ({"sasl_password": "${KAFKA_PASSWORD}"}, "sasl_password is a placeholder"),
        ({"sasl_username": "<API_KEY>"}, "sasl_username is a placeholder"),
        ({"sasl_scram_token_auth": True}, "sasl_scram_token_auth is given"),
        ({"sasl_oauth_token_provider": lambda: ""}, "tokens are for OAUTHBEARER"),
    ],
)
def test_what_a_password_mechanism_needs(changed: dict[str, Any], words: str) -> None:
    assert words in problem(**{**PLAIN, **changed})


def test_white_space_around_a_password_is_warned_of() -> None:
    (warning,) = config(**{**PLAIN, "sasl_password": f"{PASSWORD}\n"}).warnings
    assert "white space" in warning
    assert PASSWORD not in warning


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (BEARER, "needs tokens"),
        ({**ENDPOINT, "sasl_username": "u"}, "logs in with tokens"),
        ({**ENDPOINT, "sasl_oauth_token_provider": lambda: ""}, "two sources"),
        ({**ENDPOINT, "sasl_oauthbearer_client_credentials_client_id": None}, "client_id is missing"),
        ({**ENDPOINT, "sasl_oauthbearer_client_credentials_client_secret": None}, "client_secret is missing"),
        ({**ENDPOINT, "sasl_oauthbearer_token_endpoint_url": "http://login.example/token"}, "not https"),
    ],
)
def test_what_tokens_need(settings: dict[str, Any], words: str) -> None:
    assert words in problem(**settings)


def test_an_endpoint_without_a_scheme_is_https_but_here() -> None:
    for given, ours in (("localhost:1", "http://localhost:1"), ("login.example/t", "https://login.example/t")):
        made = config(**{**ENDPOINT, "sasl_oauthbearer_token_endpoint_url": given})
        assert made.sasl_oauthbearer_token_endpoint_url == ours


def test_what_is_sent_in_clear_is_warned_of() -> None:
    (warning,) = config(**{**PLAIN, "security_protocol": "SASL_PLAINTEXT"}).warnings
    assert "password is sent in clear" in warning
    made = config(**{**PLAIN, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-256"})
    assert not made.warnings
    assert any("can be read" in note for note in made.notes)


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def pem(tmp_path: Path) -> str:
    path = tmp_path / "a.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    path.chmod(0o600)
    return str(path)


def test_two_ways_to_say_the_same(pem: str) -> None:
    assert "two ways" in problem(security_protocol="SSL", ssl_truststore_location=pem, ssl_truststore_certificates="x")
    assert "two ways" in problem(security_protocol="SSL", ssl_keystore_location=pem, ssl_certfile=pem)


def test_halves_of_a_pair(pem: str) -> None:
    assert "without ssl_keystore_certificate_chain" in problem(security_protocol="SSL", ssl_keystore_key=PASSWORD)
    assert "without ssl_keystore_key" in problem(security_protocol="SSL", ssl_keystore_certificate_chain="x")
    assert "without ssl_certfile" in problem(security_protocol="SSL", ssl_keyfile=pem)


def test_a_context_replaces_all_others(pem: str) -> None:
    def context() -> None:
        """Never asked."""

    told = problem(security_protocol="SSL", ssl_context=cast("Any", context), ssl_truststore_location=pem)
    assert "ssl_context replaces all" in told


def test_files_are_looked_at(tmp_path: Path, pem: str) -> None:
    assert "cannot be read: No such file" in problem(
        security_protocol="SSL", ssl_truststore_location=tmp_path / "none.pem"
    )
    told = problem(security_protocol="SSL", ssl_truststore_location=pem, ssl_truststore_password=PASSWORD)
    assert told.startswith("ssl_truststore_password is given, but")
    Path(pem).chmod(0o644)
    (warning,) = config(security_protocol="SSL", ssl_keystore_location=pem).warnings
    assert "every user of this host can read" in warning


def test_what_is_switched_off_is_warned_of() -> None:
    (warning,) = config(security_protocol="SSL", ssl_endpoint_identification_algorithm=False).warnings
    assert "not checked" in warning
    (warning,) = config(security_protocol="SSL", enable_ssl_certificate_verification=False).warnings
    assert "anybody on the way" in warning


@pytest.mark.parametrize("name", ["ssl_truststore_password", "ssl_keystore_password", "ssl_key_password"])
def test_a_password_without_what_it_opens_is_warned_of(name: str) -> None:
    (warning,) = config(security_protocol="SSL", **{name: PASSWORD}).warnings
    assert warning.startswith(f"{name} has no effect without")


def test_one_version_by_ssl_protocol() -> None:
    assert config(security_protocol="SSL", ssl_protocol="TLSv1.2").ssl_enabled_protocols == ("TLSv1.2",)
    made = config(security_protocol="SSL", ssl_protocol="TLSv1.2", ssl_enabled_protocols="TLSv1.3")
    assert made.ssl_enabled_protocols == ("TLSv1.3",)


# ── sasl.jaas.config ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_user_and_password_come_from_jaas() -> None:
    options = f'username="u" password="{PASSWORD}"'
    for module, mechanism in (("PlainLoginModule", "PLAIN"), ("ScramLoginModule", "SCRAM-SHA-512")):
        made = config(**jaas(module, options, sasl_mechanism=mechanism))
        assert (made.sasl_username, made.sasl_password) == ("u", Secret(PASSWORD))
        assert PASSWORD not in repr(made) + str(made.describe())
    made = config(**jaas("ScramLoginModule", f"{options} tokenauth=true", sasl_mechanism="SCRAM-SHA-256"))
    assert made.sasl_scram_token_auth


def test_jaas_and_settings_that_differ() -> None:
    options = f'username="u" password="{PASSWORD}"'
    same = config(**jaas("PlainLoginModule", options, sasl_mechanism="PLAIN", sasl_username="u"))
    assert same.sasl_username == "u"
    told = problem(**jaas("PlainLoginModule", options, sasl_mechanism="PLAIN", sasl_username="v"))
    assert told == "sasl_username and sasl_jaas_config say two things; keep one"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (jaas("PlainLoginModule", f'username="u" password={PASSWORD}@x', sasl_mechanism="PLAIN"), "sasl.jaas.config"),
        (jaas("JndiLoginModule", sasl_mechanism="PLAIN"), "unknown login module"),
        (jaas("PlainLoginModule", f"username=u password={PASSWORD}", sasl_mechanism="SCRAM-SHA-256"), "is for PLAIN"),
        (jaas("OAuthBearerLoginModule", 'unsecuredLoginNumberClaim_x="y"', sasl_mechanism="OAUTHBEARER"), "the number"),
        (jaas("OAuthBearerLoginModule", 'unsecuredLoginNumberClaim_x="1"', sasl_mechanism="OAUTHBEARER"), "a subject"),
    ],
)
def test_what_jaas_cannot_be(settings: dict[str, Any], words: str) -> None:
    assert any(words in told for told in problems(**settings))


async def test_unsecured_tokens_of_javas_form() -> None:
    options = (
        'unsecuredLoginStringClaim_sub="alice" unsecuredLoginListClaim_scope=",a,b" unsecuredLoginNumberClaim_n="1.5"'
    )
    made = config(**jaas("OAuthBearerLoginModule", options, sasl_mechanism="OAUTHBEARER"))
    token = await made.sasl_oauth_token_provider()
    assert token.principal == "alice"
    assert claims_of(token.value) == {**(claims_of(token.value) or {}), "sub": "alice", "scope": ["a", "b"], "n": 1.5}
    assert any("for development" in warning for warning in made.warnings)


def test_amazon_is_done_with_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    given = jaas("IAMLoginModule", sasl_mechanism="AWS_MSK_IAM")
    assert "region is not known" in problem(**given)
    host = "b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com:9098"
    named: dict[str, Any] = {**given, "bootstrap_servers": host}
    made = ProducerConfig(**named)
    assert made.sasl_mechanism == "OAUTHBEARER"
    assert isinstance(made.sasl_oauth_token_provider, AwsMskIam)
    assert any("AWS_MSK_IAM is done by OAUTHBEARER" in note for note in made.notes)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert any("eu-central-1" in note for note in config(**given).notes)
    assert "roles of IAMLoginModule" in problem(
        **jaas("IAMLoginModule", 'awsRoleArn="arn:aws:iam::1:role/x"', sasl_mechanism="AWS_MSK_IAM")
    )
    assert "SASL_SSL only" in problems(**{**given, "security_protocol": "SASL_PLAINTEXT"})[-1]


def test_handlers_of_java() -> None:
    google = {
        "bootstrap.servers": "a:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.login.callback.handler.class": "com.google.cloud.hosted.kafka.auth.GcpLoginCallbackHandler",
    }
    assert isinstance(ProducerConfig.from_config(google).sasl_oauth_token_provider, GoogleCloud)
    with pytest.raises(ConfigurationError, match="no counterpart here"):
        ProducerConfig.from_config({**google, "sasl.login.callback.handler.class": "org.example.Handler"})
