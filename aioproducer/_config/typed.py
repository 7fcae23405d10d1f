"""ProducerSettings: the types that editors and type checkers see in `Producer(**settings)`."""

# ruff: noqa: TC001 - the annotations can be resolved at run time

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from aioproducer._config.declared import CompressionType, DnsLookup, RecordingLevel, RecoveryStrategy, SecurityProtocol
from aioproducer._public import public_in
from aioproducer.interceptors import ProducerInterceptor
from aioproducer.partitioners import Partitioner, PartitionerName
from aioproducer.serializers import Serializer


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
    security_protocol: SecurityProtocol
    close_timeout_ms: int
    enable_metrics_push: bool
    metrics_num_samples: int
    metrics_sample_window_ms: int
    metrics_recording_level: RecordingLevel
