"""Names that are not our settings' but that a Kafka user may well write, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aioproducer._config.declared import SETTINGS


@dataclass(frozen=True, slots=True)
class Alias:
    """Another client's name for one of our settings.

    Attributes:
        name: ours.
        origin: whose name it is.
        convert: turns a value of theirs into one of ours; None: they are the same.
    """

    name: str
    origin: str
    convert: Callable[[Any], Any] | None = None


def _kilobytes(value: Any) -> Any:
    text = str(value).strip()
    return str(int(text) * 1024) if text.isdecimal() else value


def _zero_is_system(value: Any) -> Any:
    return "-1" if str(value).strip() == "0" else value


def _callback(value: Any) -> Any:
    """confluent-kafka's oauth_cb is given the text of sasl.oauthbearer.config."""
    return partial(value, "") if callable(value) else value


ALIASES: Final[dict[str, Alias]] = {
    "partitioner_class": Alias("partitioner", "Java"),
    "interceptor_classes": Alias("interceptors", "Java"),
    "max_batch_size": Alias("batch_size", "aiokafka"),
    "metadata_broker_list": Alias("bootstrap_servers", "librdkafka"),
    "queue_buffering_max_ms": Alias("linger_ms", "librdkafka"),
    "queue_buffering_max_kbytes": Alias("buffer_memory", "librdkafka", _kilobytes),
    "message_timeout_ms": Alias("delivery_timeout_ms", "librdkafka"),
    "message_max_bytes": Alias("max_request_size", "librdkafka"),
    "message_send_max_retries": Alias("retries", "librdkafka"),
    "request_required_acks": Alias("acks", "librdkafka"),
    "max_in_flight": Alias("max_in_flight_requests_per_connection", "librdkafka"),
    "compression_codec": Alias("compression_type", "librdkafka"),
    "topic_metadata_refresh_interval_ms": Alias("metadata_max_age_ms", "librdkafka"),
    "socket_timeout_ms": Alias("request_timeout_ms", "librdkafka"),
    "socket_send_buffer_bytes": Alias("send_buffer_bytes", "librdkafka", _zero_is_system),
    "socket_receive_buffer_bytes": Alias("receive_buffer_bytes", "librdkafka", _zero_is_system),
    "ssl_ca_location": Alias("ssl_truststore_location", "librdkafka"),
    "ssl_ca_pem": Alias("ssl_truststore_certificates", "librdkafka"),
    "ssl_certificate_location": Alias("ssl_certfile", "librdkafka"),
    "ssl_certificate_pem": Alias("ssl_keystore_certificate_chain", "librdkafka"),
    "ssl_key_location": Alias("ssl_keyfile", "librdkafka"),
    "ssl_key_pem": Alias("ssl_keystore_key", "librdkafka"),
    "ssl_crl_location": Alias("ssl_crlfile", "librdkafka"),
    "sasl_mechanisms": Alias("sasl_mechanism", "librdkafka"),
    "sasl_oauthbearer_client_id": Alias("sasl_oauthbearer_client_credentials_client_id", "librdkafka"),
    "sasl_oauthbearer_client_secret": Alias("sasl_oauthbearer_client_credentials_client_secret", "librdkafka"),
    "oauth_cb": Alias("sasl_oauth_token_provider", "confluent-kafka", _callback),
    "sasl_plain_username": Alias("sasl_username", "aiokafka"),
    "sasl_plain_password": Alias("sasl_password", "aiokafka"),
    "ssl_cafile": Alias("ssl_truststore_location", "kafka-python"),
    "ssl_password": Alias("ssl_key_password", "kafka-python"),
    "ssl_ciphers": Alias("ssl_cipher_suites", "kafka-python"),
    "ssl_check_hostname": Alias("ssl_endpoint_identification_algorithm", "kafka-python"),
}
"""Names that from_config, from_file and from_env understand, dots as underscores."""

_VERSIONS: Final = "versions are negotiated with each broker"
_LOGGING: Final = "use Python's logging, loggers aioproducer.*"
_SOCKETS: Final = "anyio opens the connections; connect= of the producer replaces that"
_METADATA: Final = "metadata_max_age_ms and retry_backoff_ms pace the metadata"

_CONTEXT: Final = "make an ssl.SSLContext with it, and give that as ssl_context"
_PROVIDER: Final = "give sasl_oauth_token_provider; aioproducer.security has providers"
_TOKEN_HTTPS: Final = "give sasl_oauth_token_provider, with a TokenEndpoint that has an ssl_context"
_BROKERS: Final = "it is for brokers, which verify tokens"
_LOGIN: Final = "give sasl_password or sasl_oauth_token_provider, which may be callables of yours"

NO_COUNTERPART: Final[dict[str, str]] = {
    "api_version": _VERSIONS,
    "api_version_auto_timeout_ms": _VERSIONS,
    "api_version_fallback_ms": _VERSIONS,
    "api_version_request": _VERSIONS,
    "api_version_request_timeout_ms": _VERSIONS,
    "background_event_cb": "there is no background thread",
    "batch_num_messages": "batch_size bounds a batch, in bytes",
    "bootstrap_timeout_ms": "max_block_ms bounds start() as it bounds every call that waits",
    "broker_address_family": "addresses of both families are tried",
    "broker_address_ttl": "names are looked up for each connection",
    "broker_version_fallback": _VERSIONS,
    "builtin_features": "codecs are found by being installed",
    "client_rack": "a producer writes to leaders wherever they are",
    "closesocket_cb": _SOCKETS,
    "connect_cb": _SOCKETS,
    "debug": _LOGGING,
    "default_topic_config": "give the settings themselves; they hold for all topics",
    "default_topic_conf": "give the settings themselves; they hold for all topics",
    "delivery_report_only_error": "give on_delivery where it is wanted",
    "dr_cb": "give on_delivery= with the record",
    "dr_msg_cb": "give on_delivery= with the record",
    "enable_gapless_guarantee": "a batch that fails does not stop those after it; look at the error of each record",
    "enable_random_seed": "there is nothing to be seeded",
    "enabled_events": "there is no queue of events",
    "error_cb": "give on_error= to the producer, or look at producer.status()",
    "internal_termination_signal": "there are no threads to be stopped",
    "kafka_client": _SOCKETS,
    "log_cb": _LOGGING,
    "log_connection_close": _LOGGING,
    "log_level": _LOGGING,
    "log_queue": _LOGGING,
    "log_thread_name": _LOGGING,
    "logger": _LOGGING,
    "loop": "the event loop that runs is used",
    "message_copy_max_bytes": "bytes are not copied",
    "metrics_enabled": "producer.statistics() is always there",
    "on_delivery": "give it with the record",
    "opaque": "a callback keeps what it needs",
    "open_cb": _SOCKETS,
    "partitioner_cb": "give a callable as partitioner",
    "plugin_library_paths": "interceptors are Python objects",
    "produce_offset_report": "each record's offset is told",
    "proxy_url": _SOCKETS,
    "queue_buffering_backpressure_threshold": "batch_size and linger_ms say when a batch is sent",
    "queue_buffering_max_messages": "buffer_memory bounds what is queued, in bytes",
    "queue_buffering_max_msgs": "buffer_memory bounds what is queued, in bytes",
    "queuing_strategy": "records of a partition keep their order",
    "receive_message_max_bytes": "an answer of more than 100 MiB is never read",
    "reconnect_backoff_jitter_ms": "reconnect_backoff_ms has a jitter of 20 %",
    "resolve_cb": _SOCKETS,
    "selector": "the event loop has it",
    "socket_blocking_max_ms": _SOCKETS,
    "socket_cb": _SOCKETS,
    "socket_keepalive_enable": "connections_max_idle_ms closes idle connections",
    "socket_max_fails": "a request that is not answered in time closes its connection",
    "socket_nagle_disable": "TCP_NODELAY is always set",
    "socket_options": _SOCKETS,
    "socks5_proxy": _SOCKETS,
    "statistics_interval_ms": "ask producer.statistics() at any time",
    "stats_cb": "ask producer.statistics() at any time",
    "sticky_partitioning_linger_ms": "records without a key change partition by bytes (KIP-794)",
    "throttle_cb": "producer.statistics() has produce-throttle-time-avg",
    "topic_blacklist": "only topics that are sent to are asked about",
    "topic_metadata_propagation_max_ms": "max_block_ms bounds the wait for a new topic",
    "topic_metadata_refresh_fast_interval_ms": _METADATA,
    "topic_metadata_refresh_sparse": _METADATA,
    "enable_sasl_oauthbearer_unsecure_jwt": _PROVIDER,
    "https_ca_location": _TOKEN_HTTPS,
    "https_ca_pem": _TOKEN_HTTPS,
    "oauthbearer_token_refresh_cb": _PROVIDER,
    "sasl_client_callback_handler_class": _LOGIN,
    "sasl_login_callback_handler_class": _LOGIN,
    "sasl_login_class": _LOGIN,
    "sasl_oauthbearer_config": _PROVIDER,
    "sasl_oauthbearer_jwt_retriever_class": _PROVIDER,
    "sasl_oauthbearer_jwt_validator_class": _BROKERS,
    "sasl_oauthbearer_assertion_jwt_template_file": "here it is sasl_oauthbearer_assertion_template_file",
    "sasl_oauthbearer_assertion_private_key_pem": _PROVIDER,
    "sasl_oauthbearer_grant_type": _PROVIDER,
    "sasl_oauthbearer_metadata_authentication_type": _PROVIDER,
    "ssl_ca_certificate_stores": "the system's certificates are loaded when no CA is given",
    "ssl_certificate_verify_cb": _CONTEXT,
    "ssl_curves_list": _CONTEXT,
    "ssl_sigalgs_list": _CONTEXT,
}
"""Names of other clients' settings that make no sense here, and why."""

CONSUMER: Final = frozenset(
    [
        "auto_commit_interval_ms",
        "auto_offset_reset",
        "check_crcs",
        "consumer_timeout_ms",
        "default_api_timeout_ms",
        "enable_auto_commit",
        "enable_auto_offset_store",
        "enable_partition_eof",
        "exclude_internal_topics",
        "fetch_max_bytes",
        "fetch_max_wait_ms",
        "fetch_min_bytes",
        "fetch_wait_max_ms",
        "group_id",
        "group_instance_id",
        "group_protocol",
        "group_remote_assignor",
        "heartbeat_interval_ms",
        "isolation_level",
        "key_deserializer",
        "max_partition_fetch_bytes",
        "max_poll_interval_ms",
        "max_poll_records",
        "partition_assignment_strategy",
        "queued_min_messages",
        "rebalance_timeout_ms",
        "session_timeout_ms",
        "value_deserializer",
    ]
)
"""Names of consumers' settings."""

JVM: Final = frozenset(
    [
        "auto_include_jmx_reporter",
        "sasl_oauthbearer_clock_skew_seconds",
        "sasl_oauthbearer_expected_audience",
        "sasl_oauthbearer_expected_issuer",
        "sasl_oauthbearer_jwks_endpoint_refresh_ms",
        "sasl_oauthbearer_jwks_endpoint_retry_backoff_max_ms",
        "sasl_oauthbearer_jwks_endpoint_retry_backoff_ms",
        "sasl_oauthbearer_jwks_endpoint_url",
        "sasl_oauthbearer_scope_claim_name",
        "security_providers",
        "ssl_engine_factory_class",
        "ssl_engine_id",
        "ssl_engine_location",
        "ssl_keymanager_algorithm",
        "ssl_provider",
        "ssl_providers",
        "ssl_secure_random_implementation",
        "ssl_trustmanager_algorithm",
    ]
)
"""Names of settings for the Java virtual machine, for plugging Java classes in, or for what verifies tokens."""

_TICKETS: Final = (
    "tickets are had at each login, and renewed with sasl_kerberos_keytab by Kerberos' own library; no command is run"
)

NOT_BUILT: Final[dict[str, str]] = {
    "config_providers": "variables in settings are not built; put the values in from your program",
    "metric_reporters": "metric reporters are not built; read producer.statistics()",
    "sasl_kerberos_kinit_cmd": _TICKETS,
    "sasl_kerberos_min_time_before_relogin": _TICKETS,
    "sasl_kerberos_name": "give sasl_kerberos_service_name, and sasl_kerberos_domain_name for another host",
    "sasl_kerberos_ticket_renew_jitter": _TICKETS,
    "sasl_kerberos_ticket_renew_window_factor": _TICKETS,
    "transaction_two_phase_commit_enable": "two-phase commit (KIP-939) is not built",
}
"""Names of Java's settings for what does not exist here."""


FOREIGN: Final[tuple[tuple[str, str], ...]] = (
    ("spring_", "Spring's"),
    ("quarkus_", "Quarkus'"),
    ("mp_messaging_", "MicroProfile's"),
    ("producer_", "a worker's (Kafka Connect, Debezium)"),
    ("kafka_", "a program's own"),
    ("topic_", "librdkafka's, for one topic"),
)
"""How names begin that are made for something around a producer, and whose they are."""

NOT_FOR_PRODUCERS: Final = ("schema_registry_", "basic_auth_", "bearer_auth_", "sr_")
"""How names begin of settings for a schema registry's client, which stand in the same files."""

_ODD: Final = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST: Final = 80  # Kafka's longest name has 55 characters


def shown_name(given: str) -> str:
    """Return a name as a message may have it: one that is longer or odder than names are may be the rest of a value."""
    if len(given) > _LONGEST or _ODD.search(given):
        return f"a name of {len(given)} characters that no setting has"
    return given


def is_left_out(name: str) -> bool:
    """Whether a file may have it for others that read it too: consumers, a schema registry, a Java virtual machine."""
    return name in CONSUMER or name in JVM or name.startswith(NOT_FOR_PRODUCERS)


def explain_unknown(name: str, shown: str | None = None) -> str:
    """Return a sentence that says why a name is refused, and what to do. It never has the value in it.

    Args:
        name: with underscores.
        shown: the name as a message may have it, if otherwise.
    """
    given = shown or shown_name(name)
    if name in ALIASES:
        alias = ALIASES[name]
        return f"{given} is {alias.origin}'s name; here it is {alias.name}"
    if name in NO_COUNTERPART:
        return f"{given} has no counterpart here: {NO_COUNTERPART[name]}; leave it out"
    if name in CONSUMER:
        return f"{given} is a setting of consumers; a producer has no use for it"
    if name in JVM:
        return f"{given} is for the Java virtual machine, or for brokers, and means nothing here; leave it out"
    if name in NOT_BUILT:
        return f"{given}: {NOT_BUILT[name]}"
    if name.startswith(NOT_FOR_PRODUCERS):
        return f"{given} is for a schema registry's client; leave it out"
    close = _close(name)
    if close is None:
        return f"{given} is not a setting; docs/settings.md lists all"
    return f"{given} is not a setting; did you mean {close}?"


def _close(name: str) -> str | None:
    """The name that was probably meant. Separators don't count: `saslmechanism`."""
    from difflib import get_close_matches  # 1 ms that only a mistake should cost

    known = {known.replace("_", ""): known for known in [*NO_COUNTERPART, *ALIASES, *SETTINGS]}
    close = get_close_matches(_ODD.sub("", name).replace("_", "").replace("-", "").lower(), known, n=1, cutoff=0.8)
    if not close:
        return None
    meant = known[close[0]]
    return ALIASES[meant].name if meant in ALIASES else meant
