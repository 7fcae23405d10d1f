"""ProducerSettings: the types that editors and type checkers see in `Producer(**settings)`."""

# ruff: noqa: TC001 - the annotations can be resolved at run time

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from aioproducer._config.declared import CompressionType, DnsLookup, RecordingLevel, RecoveryStrategy
from aioproducer._config.declared_security import (
    AssertionAlgorithm,
    SaslMechanism,
    SecurityProtocol,
    SslProtocol,
    StoreType,
)
from aioproducer._public import public_in
from aioproducer._secret import SecretLike
from aioproducer.interceptors import ProducerInterceptor
from aioproducer.partitioners import Partitioner, PartitionerName
from aioproducer.serializers import Serializer

if TYPE_CHECKING:
    import ssl

    from aioproducer.security._providers import TokenProviderLike

    SslContextLike: TypeAlias = ssl.SSLContext | Callable[[], Any]
else:  # at run time they would load ssl and anyio, 60 ms that only start() should cost
    SslContextLike = TokenProviderLike = Any


class SettingsByName(TypedDict, total=False):
    """The settings but for the serializers, which are parameters of their own where types are inferred from them."""

    bootstrap_servers: str | Sequence[str]
    """Brokers to begin with; the rest of the cluster is learnt from them. Duplicates are dropped."""
    client_id: str | None
    """Name in the brokers' logs, quotas and metrics. None: `producer-<transactional_id>`, else `producer-<n>`."""
    acks: Literal["all", "-1", "0", "1", -1, 0, 1]
    """Who must have a record before it counts: all in-sync replicas, the leader (1), nobody (0; then there are no
    offsets). Anything but all switches idempotence off."""
    enable_idempotence: bool
    """Retries write nothing twice and keep the order within a partition."""
    transactional_id: str | None
    """Makes the producer transactional, under this name; implies idempotence."""
    transaction_timeout_ms: int
    """A transaction open longer is aborted by the broker."""
    linger_ms: int
    """How long a batch that is not full waits for more records, from its creation."""
    batch_size: int
    """Bytes at which a batch is full, encoded and before compression. 0: each record alone."""
    buffer_memory: int
    """Bytes that accepted records may take until their outcome, in flight included."""
    max_request_size: int
    """Bytes of the largest record (before compression) and of the batches in one request."""
    max_block_ms: int
    """How long send and submit wait for metadata and room together; also start()."""
    delivery_timeout_ms: int
    """Age at which a batch fails. At least linger_ms + request_timeout_ms."""
    request_timeout_ms: int
    """How long a request waits for its answer."""
    retries: int
    """How often a batch is sent again. Leave it, and bound the time by delivery_timeout_ms."""
    retry_backoff_ms: int
    """Pause before the first retry; doubles from one to the next, give or take a fifth. 0 counts as 10."""
    retry_backoff_max_ms: int
    """Longest pause before a retry."""
    max_in_flight_requests_per_connection: int
    """Requests to one broker without an answer. At most 5 with idempotence."""
    compression_type: CompressionType | None
    """How batches are compressed. snappy needs the extra `aioproducer[snappy]`."""
    compression_gzip_level: int
    """Level of gzip; -1 is zlib's own."""
    compression_lz4_level: int
    """Level of lz4. Java's default, 9, costs six times as much time."""
    compression_zstd_level: int
    """Level of zstd."""
    partitioner: PartitionerName | Partitioner | None
    """Chooses partitions. None: murmur2 of the key; without a key, one partition until its batch is full (KIP-794)."""
    partitioner_ignore_keys: bool
    """The built-in partitioner treats records with a key as if they had none."""
    partitioner_adaptive_partitioning_enable: bool
    """The built-in partitioner gives slow brokers fewer records without a key."""
    partitioner_availability_timeout_ms: int
    """A partition whose broker takes nothing for so long gets no records without a key. 0: off."""
    interceptors: Sequence[ProducerInterceptor[Any, Any]]
    """See and change records, and learn their outcome, in this order."""
    metadata_max_age_ms: int
    """Metadata older than this is fetched again."""
    metadata_max_idle_ms: int
    """A topic without a record for so long is forgotten."""
    metadata_recovery_strategy: RecoveryStrategy
    """When no known broker can be reached: begin again with bootstrap_servers, or not (KIP-899)."""
    metadata_recovery_rebootstrap_trigger_ms: int
    """Begin again when metadata could not be fetched for so long (KIP-1102)."""
    metadata_cluster_check_enable: bool
    """Refuse a broker of another cluster than the one that this producer has sent to so far, and keep trying
    (KIP-1242). With False it goes over to that cluster, with a warning."""
    allow_auto_create_topics: bool
    """Let the broker create a topic that is not there, if it is set up so. Java has this for consumers only and
    always creates; with False a mistyped name fails instead of making a topic."""
    reconnect_backoff_ms: int
    """Pause before a broker is connected to again; doubles. Given alone, it holds for every time. 0 counts as 10."""
    reconnect_backoff_max_ms: int
    """Longest pause before a reconnect."""
    socket_connection_setup_timeout_ms: int
    """How long making a connection may take; doubles with each failure (KIP-601)."""
    socket_connection_setup_timeout_max_ms: int
    """Longest time that making a connection may take."""
    connections_max_idle_ms: int
    """A connection idle for so long, at least 50 ms, is closed. Negative: never."""
    send_buffer_bytes: int
    """SO_SNDBUF. -1: the system's, which adapts; Java's default is 131072."""
    receive_buffer_bytes: int
    """SO_RCVBUF. -1: the system's, which adapts; Java's default is 32768."""
    client_dns_lookup: DnsLookup
    """All addresses of a name are tried. The other value: at start, each bootstrap server is replaced by the
    canonical names of its addresses."""
    close_timeout_ms: int
    """How long a left `async with` (exception, cancellation) still delivers accepted records before it drops them.
    Java has no such block: there close() waits for ever, which would hold up the exception."""
    enable_metrics_push: bool
    """Send metrics to brokers that ask for them (KIP-714). Only False so far; Java: True."""
    metrics_num_samples: int
    """How many windows the averages and maxima of statistics() are over."""
    metrics_sample_window_ms: int
    """Length of each of those windows. 0: there are no averages."""
    metrics_recording_level: RecordingLevel
    """Accepted and without effect: all metrics are of the level INFO, which every level includes."""
    security_protocol: SecurityProtocol
    """How connections are secured: SSL is TLS, SASL_ is logging in."""
    ssl_context: SslContextLike | None
    """A context of your own, in place of all other ssl_ settings; a callable is asked for each connection."""
    ssl_truststore_location: str | os.PathLike[str] | None
    """File with the CAs that brokers' certificates are trusted from: PEM, PKCS#12 (extra `crypto`), or a folder
    with hashed names. Replaces the system's, which count when none is given."""
    ssl_truststore_certificates: SecretLike | None
    """The same as text, PEM."""
    ssl_truststore_password: SecretLike | None
    """Opens a PKCS#12 trust store."""
    ssl_truststore_type: StoreType
    """Accepted; what a store is, is told by its content. A JKS store is refused with the way out of it."""
    ssl_keystore_location: str | os.PathLike[str] | None
    """File with our certificates and their key: PEM or PKCS#12 (extra `crypto`)."""
    ssl_keystore_certificate_chain: SecretLike | None
    """Our certificates as text, PEM, the client's first."""
    ssl_keystore_key: SecretLike | None
    """Their key as text, PEM."""
    ssl_keystore_password: SecretLike | None
    """Opens a PKCS#12 key store."""
    ssl_keystore_type: StoreType
    """Accepted; what a store is, is told by its content. A JKS store is refused with the way out of it."""
    ssl_key_password: SecretLike | None
    """Opens an encrypted key."""
    ssl_certfile: str | os.PathLike[str] | None
    """File with our certificates, PEM, and the key unless ssl_keyfile has it."""
    ssl_keyfile: str | os.PathLike[str] | None
    """File with the key of ssl_certfile, PEM. Java wants both in one file."""
    ssl_crlfile: str | os.PathLike[str] | None
    """File with lists of revoked certificates, PEM, one for each issuer. In Java a matter of the JVM."""
    ssl_endpoint_identification_algorithm: Literal["https", "", "none"] | bool
    """https: a broker's certificate has to be for its host name."""
    enable_ssl_certificate_verification: bool
    """False: any certificate is taken, and anybody on the way can be the broker. librdkafka's name."""
    ssl_enabled_protocols: str | Sequence[str]
    """Versions of TLS that are spoken."""
    ssl_protocol: SslProtocol
    """TLSv1.2 alone, without ssl_enabled_protocols, speaks that only."""
    ssl_cipher_suites: str | Sequence[str]
    """Ciphers of TLS 1.2, by the IANA's or OpenSSL's names; TLS 1.3's are always on. Empty: OpenSSL's choice."""
    sasl_mechanism: SaslMechanism | None
    """How to log in. Java's default is GSSAPI; here there is none, so that nobody gets it unawares."""
    sasl_jaas_config: SecretLike | None
    """Java's form of user name, password and the like: `class required name="value" …;`."""
    sasl_username: str | None
    """User for PLAIN and SCRAM."""
    sasl_password: SecretLike | Callable[[], Any] | None
    """Password for PLAIN and SCRAM; a callable is asked at each login, so it can be rotated."""
    sasl_scram_token_auth: bool
    """User and password are those of a delegation token (KIP-48)."""
    sasl_kerberos_service_name: str
    """The first part of brokers' principals, before their host."""
    sasl_kerberos_principal: str | None
    """Ours; without, that of the ticket there is. In Java an option of sasl.jaas.config."""
    sasl_kerberos_keytab: str | os.PathLike[str] | None
    """File with our key; without, tickets are those of kinit. In Java an option of sasl.jaas.config."""
    sasl_kerberos_ticket_cache: str | None
    """Where kinit has put tickets, if not at the usual place. In Java an option of sasl.jaas.config."""
    sasl_kerberos_domain_name: str | None
    """The host in brokers' principals, if not the one that is called. aiokafka's name."""
    sasl_oauth_token_provider: TokenProviderLike | None
    """What gives tokens for OAUTHBEARER; aioproducer.security has some."""
    sasl_oauthbearer_token_endpoint_url: str | None
    """Where tokens are asked for (https, or a file: URL of a token)."""
    sasl_oauthbearer_client_credentials_client_id: str | None
    """Who asks for tokens there."""
    sasl_oauthbearer_client_credentials_client_secret: SecretLike | Callable[[], Any] | None
    """The secret of that client."""
    sasl_oauthbearer_scope: str | None
    """What tokens are asked for."""
    sasl_oauthbearer_extensions: Mapping[str, str] | str | None
    """Sent with each token (KIP-342). In Java an option of sasl.jaas.config."""
    sasl_oauthbearer_header_urlencode: bool
    """Encode id and secret before they go into the header, as RFC 6749 wants."""
    sasl_oauthbearer_sub_claim_name: str
    """The claim of a token that names the principal."""
    sasl_oauthbearer_assertion_algorithm: AssertionAlgorithm
    """How assertions are signed (KIP-1258)."""
    sasl_oauthbearer_assertion_claim_aud: str | None
    """Their audience."""
    sasl_oauthbearer_assertion_claim_exp_seconds: int
    """How long they are good."""
    sasl_oauthbearer_assertion_claim_iss: str | None
    """Their issuer."""
    sasl_oauthbearer_assertion_claim_jti_include: bool
    """Give each an id of its own."""
    sasl_oauthbearer_assertion_claim_nbf_seconds: int
    """How long before now they are good already."""
    sasl_oauthbearer_assertion_claim_sub: str | None
    """Their subject."""
    sasl_oauthbearer_assertion_file: str | os.PathLike[str] | None
    """File with an assertion that somebody else keeps fresh."""
    sasl_oauthbearer_assertion_private_key_file: str | os.PathLike[str] | None
    """Key that assertions are signed with, PEM (extra `crypto`)."""
    sasl_oauthbearer_assertion_private_key_passphrase: SecretLike | None
    """Opens that key."""
    sasl_oauthbearer_assertion_template_file: str | os.PathLike[str] | None
    """JSON with more headers and claims for them."""
    sasl_login_connect_timeout_ms: int
    """How long connecting to a token endpoint may take. Java: no end."""
    sasl_login_read_timeout_ms: int
    """How long its answer may take. Java: no end."""
    sasl_login_retry_backoff_ms: int
    """Pause before it is asked again; doubles."""
    sasl_login_retry_backoff_max_ms: int
    """After so long no further attempt begins."""
    sasl_login_refresh_window_factor: float
    """After this part of its life a token is fetched anew."""
    sasl_login_refresh_window_jitter: float
    """And at most so much later, by chance."""
    sasl_login_refresh_min_period_seconds: int
    """Not sooner after the last time."""
    sasl_login_refresh_buffer_seconds: int
    """Not later before its end."""


@public_in("aioproducer")
class ProducerSettings(SettingsByName, total=False):
    """The settings as keyword arguments; docs/settings.md says what each does. Only bootstrap_servers must be given."""

    key_serializer: Serializer[Any] | None
    """Makes bytes of keys. None: keys are bytes already."""
    value_serializer: Serializer[Any] | None
    """Makes bytes of values. None: values are bytes already."""
