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


@public_in("aioproducer")
class ProducerSettings(TypedDict, total=False):
    """The settings as keyword arguments; docs/settings.md says what each does. Only bootstrap_servers must be given."""

    bootstrap_servers: str | Sequence[str]
    client_id: str | None
    key_serializer: Serializer[Any] | None
    value_serializer: Serializer[Any] | None
    acks: Literal["all", "-1", "0", "1", -1, 0, 1]
    enable_idempotence: bool
    transactional_id: str | None
    transaction_timeout_ms: int
    linger_ms: int
    batch_size: int
    buffer_memory: int
    max_request_size: int
    max_block_ms: int
    delivery_timeout_ms: int
    request_timeout_ms: int
    retries: int
    retry_backoff_ms: int
    retry_backoff_max_ms: int
    max_in_flight_requests_per_connection: int
    compression_type: CompressionType | None
    compression_gzip_level: int
    compression_lz4_level: int
    compression_zstd_level: int
    partitioner: PartitionerName | Partitioner | None
    partitioner_ignore_keys: bool
    partitioner_adaptive_partitioning_enable: bool
    partitioner_availability_timeout_ms: int
    interceptors: Sequence[ProducerInterceptor[Any, Any]]
    metadata_max_age_ms: int
    metadata_max_idle_ms: int
    metadata_recovery_strategy: RecoveryStrategy
    metadata_recovery_rebootstrap_trigger_ms: int
    allow_auto_create_topics: bool
    reconnect_backoff_ms: int
    reconnect_backoff_max_ms: int
    socket_connection_setup_timeout_ms: int
    socket_connection_setup_timeout_max_ms: int
    connections_max_idle_ms: int
    send_buffer_bytes: int
    receive_buffer_bytes: int
    client_dns_lookup: DnsLookup
    close_timeout_ms: int
    enable_metrics_push: bool
    metrics_num_samples: int
    metrics_sample_window_ms: int
    metrics_recording_level: RecordingLevel
    security_protocol: SecurityProtocol
    ssl_context: SslContextLike | None
    ssl_truststore_location: str | os.PathLike[str] | None
    ssl_truststore_certificates: SecretLike | None
    ssl_truststore_password: SecretLike | None
    ssl_truststore_type: StoreType
    ssl_keystore_location: str | os.PathLike[str] | None
    ssl_keystore_certificate_chain: SecretLike | None
    ssl_keystore_key: SecretLike | None
    ssl_keystore_password: SecretLike | None
    ssl_keystore_type: StoreType
    ssl_key_password: SecretLike | None
    ssl_certfile: str | os.PathLike[str] | None
    ssl_keyfile: str | os.PathLike[str] | None
    ssl_crlfile: str | os.PathLike[str] | None
    ssl_endpoint_identification_algorithm: Literal["https", "", "none"] | bool
    enable_ssl_certificate_verification: bool
    ssl_enabled_protocols: str | Sequence[str]
    ssl_protocol: SslProtocol
    ssl_cipher_suites: str | Sequence[str]
    sasl_mechanism: SaslMechanism | None
    sasl_jaas_config: SecretLike | None
    sasl_username: str | None
    sasl_password: SecretLike | Callable[[], Any] | None
    sasl_scram_token_auth: bool
    sasl_kerberos_service_name: str
    sasl_kerberos_principal: str | None
    sasl_kerberos_keytab: str | os.PathLike[str] | None
    sasl_kerberos_ticket_cache: str | None
    sasl_kerberos_domain_name: str | None
    sasl_oauth_token_provider: TokenProviderLike | None
    sasl_oauthbearer_token_endpoint_url: str | None
    sasl_oauthbearer_client_credentials_client_id: str | None
    sasl_oauthbearer_client_credentials_client_secret: SecretLike | Callable[[], Any] | None
    sasl_oauthbearer_scope: str | None
    sasl_oauthbearer_extensions: Mapping[str, str] | str | None
    sasl_oauthbearer_header_urlencode: bool
    sasl_oauthbearer_sub_claim_name: str
    sasl_oauthbearer_assertion_algorithm: AssertionAlgorithm
    sasl_oauthbearer_assertion_claim_aud: str | None
    sasl_oauthbearer_assertion_claim_exp_seconds: int
    sasl_oauthbearer_assertion_claim_iss: str | None
    sasl_oauthbearer_assertion_claim_jti_include: bool
    sasl_oauthbearer_assertion_claim_nbf_seconds: int
    sasl_oauthbearer_assertion_claim_sub: str | None
    sasl_oauthbearer_assertion_file: str | os.PathLike[str] | None
    sasl_oauthbearer_assertion_private_key_file: str | os.PathLike[str] | None
    sasl_oauthbearer_assertion_private_key_passphrase: SecretLike | None
    sasl_oauthbearer_assertion_template_file: str | os.PathLike[str] | None
    sasl_login_connect_timeout_ms: int
    sasl_login_read_timeout_ms: int
    sasl_login_retry_backoff_ms: int
    sasl_login_retry_backoff_max_ms: int
    sasl_login_refresh_window_factor: float
    sasl_login_refresh_window_jitter: float
    sasl_login_refresh_min_period_seconds: int
    sasl_login_refresh_buffer_seconds: int
