"""The settings of TLS and SASL; see `declared`."""

# ruff: noqa: RUF009 - setting() makes a dataclass field of each

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from aioproducer._config.kinds import INT64_MAX, Boolean, Choice, Integer, Text
from aioproducer._config.security_kinds import (
    TLS_VERSIONS,
    EndpointAlgorithm,
    Extensions,
    FilePath,
    Mechanism,
    Names,
    Real,
    SecretKind,
    SslContextKind,
    TlsVersions,
    TokenProviderKind,
)
from aioproducer._config.setting import setting

if TYPE_CHECKING:
    from aioproducer._secret import Secret

SecurityProtocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI", "AWS_MSK_IAM"]
StoreType: TypeAlias = Literal["PEM", "PKCS12", "JKS"]
SslProtocol: TypeAlias = Literal["TLSv1.3", "TLSv1.2", "TLS"]
AssertionAlgorithm: TypeAlias = Literal["RS256", "ES256"]

_MS: Final = Integer(maximum=INT64_MAX)
_OPTIONAL_TEXT: Final = Text()
_STORE_TYPE: Final = Choice(("PEM", "PKCS12", "JKS"), folds_case=True)
_TYPE_TEXT: Final = "Accepted; what a store is, is told by its content. A JKS store is refused with the way out of it."


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class DeclaredSecurity:
    """Those settings with the types that they have once validated."""

    security_protocol: SecurityProtocol = setting(
        Choice(("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"), folds_case=True),
        "How connections are secured: SSL is TLS, SASL_ is logging in.",
        default="PLAINTEXT",
    )
    ssl_context: Any = setting(
        SslContextKind(),
        "A context of your own, in place of all other ssl_ settings; a callable is asked for each connection.",
        default=None,
        java=None,
    )
    ssl_truststore_location: str | None = setting(
        FilePath(),
        "File with the CAs that brokers' certificates are trusted from: PEM, PKCS#12 (extra `crypto`), or a folder with"
        " hashed names. Replaces the system's, which count when none is given.",
        default=None,
    )
    ssl_truststore_certificates: Secret | None = setting(
        SecretKind(), "The same as text, PEM.", default=None, secret=True
    )
    ssl_truststore_password: Secret | None = setting(
        SecretKind(), "Opens a PKCS#12 trust store.", default=None, secret=True
    )
    ssl_truststore_type: StoreType = setting(_STORE_TYPE, _TYPE_TEXT, default="PEM")
    ssl_keystore_location: str | None = setting(
        FilePath(), "File with our certificates and their key: PEM or PKCS#12 (extra `crypto`).", default=None
    )
    ssl_keystore_certificate_chain: Secret | None = setting(
        SecretKind(), "Our certificates as text, PEM, the client's first.", default=None, secret=True
    )
    ssl_keystore_key: Secret | None = setting(SecretKind(), "Their key as text, PEM.", default=None, secret=True)
    ssl_keystore_password: Secret | None = setting(
        SecretKind(), "Opens a PKCS#12 key store.", default=None, secret=True
    )
    ssl_keystore_type: StoreType = setting(_STORE_TYPE, _TYPE_TEXT, default="PEM")
    ssl_key_password: Secret | None = setting(SecretKind(), "Opens an encrypted key.", default=None, secret=True)
    ssl_certfile: str | None = setting(
        FilePath(), "File with our certificates, PEM, and the key unless ssl_keyfile has it.", default=None, java=None
    )
    ssl_keyfile: str | None = setting(
        FilePath(), "File with the key of ssl_certfile, PEM. Java wants both in one file.", default=None, java=None
    )
    ssl_crlfile: str | None = setting(
        FilePath(),
        "File with lists of revoked certificates, PEM, one for each issuer. In Java a matter of the JVM.",
        default=None,
        java=None,
    )
    ssl_endpoint_identification_algorithm: str = setting(
        EndpointAlgorithm(), "https: a broker's certificate has to be for its host name.", default="https"
    )
    enable_ssl_certificate_verification: bool = setting(
        Boolean(),
        "False: any certificate is taken, and anybody on the way can be the broker. librdkafka's name.",
        default=True,
        java=None,
    )
    ssl_enabled_protocols: tuple[str, ...] = setting(
        TlsVersions(), "Versions of TLS that are spoken.", default=TLS_VERSIONS
    )
    ssl_protocol: SslProtocol = setting(
        Choice(("TLSv1.3", "TLSv1.2", "TLS")),
        "TLSv1.2 alone, without ssl_enabled_protocols, speaks that only.",
        default="TLSv1.3",
    )
    ssl_cipher_suites: tuple[str, ...] = setting(
        Names(),
        "Ciphers of TLS 1.2, by the IANA's or OpenSSL's names; TLS 1.3's are always on. Empty: OpenSSL's choice.",
        default=(),
    )
    sasl_mechanism: str | None = setting(
        Mechanism(),
        "How to log in. Java's default is GSSAPI; here there is none, so that nobody gets it unawares.",
        default=None,
    )
    sasl_jaas_config: Secret | None = setting(
        SecretKind(),
        'Java\'s form of user name, password and the like: `class required name="value" …;`.',
        default=None,
        secret=True,
    )
    sasl_username: str | None = setting(_OPTIONAL_TEXT, "User for PLAIN and SCRAM.", default=None, java=None)
    sasl_password: Any = setting(
        SecretKind(may_be_asked=True),
        "Password for PLAIN and SCRAM; a callable is asked at each login, so it can be rotated.",
        default=None,
        java=None,
        secret=True,
    )
    sasl_scram_token_auth: bool = setting(
        Boolean(), "User and password are those of a delegation token (KIP-48).", default=False, java=None
    )
    sasl_kerberos_service_name: str = setting(
        Text(may_be_empty=False), "The first part of brokers' principals, before their host.", default="kafka"
    )
    sasl_kerberos_principal: str | None = setting(
        _OPTIONAL_TEXT,
        "Ours; without, that of the ticket there is. In Java an option of sasl.jaas.config.",
        default=None,
        java=None,
    )
    sasl_kerberos_keytab: str | None = setting(
        FilePath(),
        "File with our key; without, tickets are those of kinit. In Java an option of sasl.jaas.config.",
        default=None,
        java=None,
    )
    sasl_kerberos_ticket_cache: str | None = setting(
        _OPTIONAL_TEXT,
        "Where kinit has put tickets, if not at the usual place. In Java an option of sasl.jaas.config.",
        default=None,
        java=None,
    )
    sasl_kerberos_domain_name: str | None = setting(
        _OPTIONAL_TEXT,
        "The host in brokers' principals, if not the one that is called. aiokafka's name.",
        default=None,
        java=None,
    )
    sasl_oauth_token_provider: Any = setting(
        TokenProviderKind(),
        "What gives tokens for OAUTHBEARER; aioproducer.security has some.",
        default=None,
        java=None,
    )
    sasl_oauthbearer_token_endpoint_url: str | None = setting(
        _OPTIONAL_TEXT, "Where tokens are asked for (https, or a file: URL of a token).", default=None
    )
    sasl_oauthbearer_client_credentials_client_id: str | None = setting(
        _OPTIONAL_TEXT, "Who asks for tokens there.", default=None
    )
    sasl_oauthbearer_client_credentials_client_secret: Any = setting(
        SecretKind(may_be_asked=True), "The secret of that client.", default=None, secret=True
    )
    sasl_oauthbearer_scope: str | None = setting(_OPTIONAL_TEXT, "What tokens are asked for.", default=None)
    sasl_oauthbearer_extensions: Mapping[str, str] | None = setting(
        Extensions(),
        "Sent with each token (KIP-342). In Java an option of sasl.jaas.config.",
        default=None,
        java=None,
    )
    sasl_oauthbearer_header_urlencode: bool = setting(
        Boolean(), "Encode id and secret before they go into the header, as RFC 6749 wants.", default=False
    )
    sasl_oauthbearer_sub_claim_name: str = setting(
        Text(may_be_empty=False), "The claim of a token that names the principal.", default="sub"
    )
    sasl_oauthbearer_assertion_algorithm: AssertionAlgorithm = setting(
        Choice(("RS256", "ES256")), "How assertions are signed (KIP-1258).", default="RS256"
    )
    sasl_oauthbearer_assertion_claim_aud: str | None = setting(_OPTIONAL_TEXT, "Their audience.", default=None)
    sasl_oauthbearer_assertion_claim_exp_seconds: int = setting(
        Integer(0, 86_400), "How long they are good.", default=300
    )
    sasl_oauthbearer_assertion_claim_iss: str | None = setting(_OPTIONAL_TEXT, "Their issuer.", default=None)
    sasl_oauthbearer_assertion_claim_jti_include: bool = setting(
        Boolean(), "Give each an id of its own.", default=False
    )
    sasl_oauthbearer_assertion_claim_nbf_seconds: int = setting(
        Integer(0, 3_600), "How long before now they are good already.", default=60
    )
    sasl_oauthbearer_assertion_claim_sub: str | None = setting(_OPTIONAL_TEXT, "Their subject.", default=None)
    sasl_oauthbearer_assertion_file: str | None = setting(
        FilePath(), "File with an assertion that somebody else keeps fresh.", default=None
    )
    sasl_oauthbearer_assertion_private_key_file: str | None = setting(
        FilePath(), "Key that assertions are signed with, PEM (extra `crypto`).", default=None
    )
    sasl_oauthbearer_assertion_private_key_passphrase: Secret | None = setting(
        SecretKind(), "Opens that key.", default=None, secret=True
    )
    sasl_oauthbearer_assertion_template_file: str | None = setting(
        FilePath(), "JSON with more headers and claims for them.", default=None
    )
    sasl_login_connect_timeout_ms: int = setting(
        _MS, "How long connecting to a token endpoint may take. Java: no end.", default=10_000
    )
    sasl_login_read_timeout_ms: int = setting(_MS, "How long its answer may take. Java: no end.", default=10_000)
    sasl_login_retry_backoff_ms: int = setting(_MS, "Pause before it is asked again; doubles.", default=100)
    sasl_login_retry_backoff_max_ms: int = setting(_MS, "After so long no further attempt begins.", default=10_000)
    sasl_login_refresh_window_factor: float = setting(
        Real(0.5, 1.0), "After this part of its life a token is fetched anew.", default=0.8
    )
    sasl_login_refresh_window_jitter: float = setting(
        Real(0.0, 0.25), "And at most so much later, by chance.", default=0.05
    )
    sasl_login_refresh_min_period_seconds: int = setting(Integer(0, 900), "Not sooner after the last time.", default=60)
    sasl_login_refresh_buffer_seconds: int = setting(Integer(0, 3_600), "Not later before its end.", default=300)
