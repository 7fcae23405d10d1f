"""All settings, each declared here, once: name, type, default, kind, text.

From these declarations come the validation, the names in files (dots instead of underscores), and the reference table.
`typed.ProducerSettings`, which editors complete from, is compared with them by a test.
"""

# ruff: noqa: RUF009 - setting() makes a dataclass field of each

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from aioproducer._config.declared_security import DeclaredSecurity
from aioproducer._config.kinds import (
    INT64_MAX,
    Acks,
    Boolean,
    Choice,
    Integer,
    Interceptors,
    PartitionerKind,
    SerializerKind,
    Servers,
    Text,
)
from aioproducer._config.setting import Setting as Setting
from aioproducer._config.setting import setting

if TYPE_CHECKING:
    from aioproducer.interceptors import ProducerInterceptor
    from aioproducer.partitioners import Partitioner, PartitionerName
    from aioproducer.serializers import Serializer

CompressionType: TypeAlias = Literal["none", "gzip", "snappy", "lz4", "zstd"]
DnsLookup: TypeAlias = Literal["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]
RecoveryStrategy: TypeAlias = Literal["rebootstrap", "none"]
RecordingLevel: TypeAlias = Literal["INFO", "DEBUG", "TRACE"]

_MS: Final = Integer(maximum=INT64_MAX)
_INT_MS: Final = Integer()


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class DeclaredSettings(DeclaredSecurity):
    """The settings with the types that they have once validated; ProducerConfig adds the validation and the rest."""

    bootstrap_servers: tuple[tuple[str, int], ...] = setting(
        Servers(), "Brokers to begin with; the rest of the cluster is learnt from them. Duplicates are dropped."
    )
    client_id: str | None = setting(
        Text(),
        "Name in the brokers' logs, quotas and metrics. None: `producer-<transactional_id>`, else `producer-<n>`.",
        default=None,
    )
    key_serializer: Serializer[Any] | None = setting(
        SerializerKind(), "Makes bytes of keys. None: keys are bytes already.", default=None
    )
    value_serializer: Serializer[Any] | None = setting(
        SerializerKind(), "Makes bytes of values. None: values are bytes already.", default=None
    )
    acks: int = setting(
        Acks(),
        "Who must have a record before it counts: all in-sync replicas, the leader (1), nobody (0; then there"
        " are no offsets). Anything but all switches idempotence off.",
        default=-1,
    )
    enable_idempotence: bool = setting(
        Boolean(), "Retries write nothing twice and keep the order within a partition.", default=True
    )
    transactional_id: str | None = setting(
        Text(may_be_empty=False),
        "Makes the producer transactional, under this name; implies idempotence.",
        default=None,
    )
    transaction_timeout_ms: int = setting(
        Integer(minimum=1), "A transaction open longer is aborted by the broker.", default=60_000
    )
    linger_ms: int = setting(
        _MS, "How long a batch that is not full waits for more records, from its creation.", default=5
    )
    batch_size: int = setting(
        Integer(),
        "Bytes at which a batch is full, encoded and before compression. 0: each record alone.",
        default=16_384,
    )
    buffer_memory: int = setting(
        _MS, "Bytes that accepted records may take until their outcome, in flight included.", default=33_554_432
    )
    max_request_size: int = setting(
        Integer(),
        "Bytes of the largest record (before compression) and of the batches in one request.",
        default=1_048_576,
    )
    max_block_ms: int = setting(
        _MS, "How long send and submit wait for metadata and room together; also start().", default=60_000
    )
    delivery_timeout_ms: int = setting(
        _INT_MS, "Age at which a batch fails. At least linger_ms + request_timeout_ms.", default=120_000
    )
    request_timeout_ms: int = setting(_INT_MS, "How long a request waits for its answer.", default=30_000)
    retries: int = setting(
        Integer(),
        "How often a batch is sent again. Leave it, and bound the time by delivery_timeout_ms.",
        default=2_147_483_647,
    )
    retry_backoff_ms: int = setting(
        _MS,
        "Pause before the first retry; doubles from one to the next, give or take a fifth. 0 counts as 10.",
        default=100,
    )
    retry_backoff_max_ms: int = setting(_MS, "Longest pause before a retry.", default=1_000)
    max_in_flight_requests_per_connection: int = setting(
        Integer(minimum=1), "Requests to one broker without an answer. At most 5 with idempotence.", default=5
    )
    compression_type: CompressionType = setting(
        Choice(("none", "gzip", "snappy", "lz4", "zstd"), none_is="none"),
        "How batches are compressed. snappy needs the extra `aioproducer[snappy]`.",
        default="none",
    )
    compression_gzip_level: int = setting(Integer(1, 9, also=-1), "Level of gzip; -1 is zlib's own.", default=-1)
    compression_lz4_level: int = setting(
        Integer(1, 17), "Level of lz4. Java's default, 9, costs six times as much time.", default=1
    )
    compression_zstd_level: int = setting(Integer(-131_072, 22), "Level of zstd.", default=3)
    partitioner: PartitionerName | Partitioner | None = setting(
        PartitionerKind(),
        "Chooses partitions. None: murmur2 of the key; without a key, one partition until its batch is full (KIP-794).",
        default=None,
        java="partitioner.class",
    )
    partitioner_ignore_keys: bool = setting(
        Boolean(), "The built-in partitioner treats records with a key as if they had none.", default=False
    )
    partitioner_adaptive_partitioning_enable: bool = setting(
        Boolean(), "The built-in partitioner gives slow brokers fewer records without a key.", default=True
    )
    partitioner_availability_timeout_ms: int = setting(
        _MS, "A partition whose broker takes nothing for so long gets no records without a key. 0: off.", default=0
    )
    interceptors: tuple[ProducerInterceptor[Any, Any], ...] = setting(
        Interceptors(),
        "See and change records, and learn their outcome, in this order.",
        default=(),
        java="interceptor.classes",
    )
    metadata_max_age_ms: int = setting(_MS, "Metadata older than this is fetched again.", default=300_000)
    metadata_max_idle_ms: int = setting(
        Integer(5_000, INT64_MAX), "A topic without a record for so long is forgotten.", default=300_000
    )
    metadata_recovery_strategy: RecoveryStrategy = setting(
        Choice(("rebootstrap", "none"), folds_case=True),
        "When no known broker can be reached: begin again with bootstrap_servers, or not (KIP-899).",
        default="rebootstrap",
    )
    metadata_recovery_rebootstrap_trigger_ms: int = setting(
        _MS, "Begin again when metadata could not be fetched for so long (KIP-1102).", default=300_000
    )
    metadata_cluster_check_enable: bool = setting(
        Boolean(),
        "Refuse a broker of another cluster than the one that this producer has sent to so far, and keep trying"
        " (KIP-1242). With False it goes over to that cluster, with a warning.",
        default=True,
    )
    allow_auto_create_topics: bool = setting(
        Boolean(),
        "Let the broker create a topic that is not there, if it is set up so. Java has this for consumers only and"
        " always creates; with False a mistyped name fails instead of making a topic.",
        default=True,
        java=None,
    )
    reconnect_backoff_ms: int = setting(
        _MS,
        "Pause before a broker is connected to again; doubles. Given alone, it holds for every time. 0 counts as 10.",
        default=50,
    )
    reconnect_backoff_max_ms: int = setting(_MS, "Longest pause before a reconnect.", default=1_000)
    socket_connection_setup_timeout_ms: int = setting(
        _MS, "How long making a connection may take; doubles with each failure (KIP-601).", default=10_000
    )
    socket_connection_setup_timeout_max_ms: int = setting(
        _MS, "Longest time that making a connection may take.", default=30_000
    )
    connections_max_idle_ms: int = setting(
        Integer(-INT64_MAX - 1, INT64_MAX),
        "A connection idle for so long, at least 50 ms, is closed. Negative: never.",
        default=540_000,
    )
    send_buffer_bytes: int = setting(
        Integer(-1), "SO_SNDBUF. -1: the system's, which adapts; Java's default is 131072.", default=-1
    )
    receive_buffer_bytes: int = setting(
        Integer(-1), "SO_RCVBUF. -1: the system's, which adapts; Java's default is 32768.", default=-1
    )
    client_dns_lookup: DnsLookup = setting(
        Choice(("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only")),
        "All addresses of a name are tried. The other value: at start, each bootstrap server is replaced by the"
        " canonical names of its addresses.",
        default="use_all_dns_ips",
    )
    close_timeout_ms: int = setting(
        _INT_MS,
        "How long a left `async with` (exception, cancellation) still delivers accepted records before it drops them."
        " Java has no such block: there close() waits for ever, which would hold up the exception.",
        default=5_000,
        java=None,
    )
    enable_metrics_push: bool = setting(
        Boolean(), "Send metrics to brokers that ask for them (KIP-714). Only False so far; Java: True.", default=False
    )
    metrics_num_samples: int = setting(
        Integer(minimum=1), "How many windows the averages and maxima of statistics() are over.", default=2
    )
    metrics_sample_window_ms: int = setting(
        _MS, "Length of each of those windows. 0: there are no averages.", default=30_000
    )
    metrics_recording_level: RecordingLevel = setting(
        Choice(("INFO", "DEBUG", "TRACE")),
        "Accepted and without effect: all metrics are of the level INFO, which every level includes.",
        default="INFO",
    )


def _declarations() -> tuple[Setting, ...]:
    # A derived dataclass begins with the fields of its base; readers begin with bootstrap_servers.
    security = {declared.name for declared in fields(DeclaredSecurity)}
    declared_all = sorted(fields(DeclaredSettings), key=lambda declared: declared.name in security)
    return tuple(
        Setting(
            name=declared.name,
            kind=declared.metadata["kind"],
            default=None if declared.default is MISSING else declared.default,
            required=declared.default is MISSING,
            text=declared.metadata["text"],
            java_name=declared.name.replace("_", ".") if declared.metadata["java"] == "" else declared.metadata["java"],
            secret=declared.metadata["secret"],
        )
        for declared in declared_all
    )


SETTINGS: Final[dict[str, Setting]] = {declaration.name: declaration for declaration in _declarations()}
"""All settings by name, in the order of the reference."""
