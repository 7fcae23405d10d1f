"""A Kafka producer in pure Python, for asyncio, uvloop and trio.

The public names, and nothing else. Each is imported when it is first used (PEP 562), so that `import aioproducer` loads
no event loop, no TLS and no codec.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from aioproducer._version import __version__

if TYPE_CHECKING:
    from aioproducer._backend import Connector, Stream
    from aioproducer._config import ProducerConfig, ProducerSettings
    from aioproducer._producer.delivery import Delivery, DeliveryCallback
    from aioproducer._producer.producer import Producer
    from aioproducer._producer.protocol import ProducerProtocol
    from aioproducer._producer.status import ProducerStatus
    from aioproducer._producer.threads import ThreadEntry
    from aioproducer._producer.topic import TopicHandle
    from aioproducer._producer.transaction import Transaction, TransactionBlock
    from aioproducer._types import (
        ConsumerGroupMetadata,
        Headers,
        HeadersLike,
        OffsetAndMetadata,
        ProducerRecord,
        RecordMetadata,
        TopicPartition,
        TopicView,
    )
    from aioproducer.errors import (
        AuthenticationError,
        AuthorizationError,
        BootstrapError,
        BrokerError,
        BufferFullError,
        BufferTimeoutError,
        CommitOutcomeUnknownError,
        ConfigurationError,
        ConnectionTimeoutError,
        CorruptRecordError,
        DeliveryTimeoutError,
        ErrorCode,
        FatalProducerError,
        IllegalStateError,
        InvalidRecordError,
        InvalidTopicError,
        KafkaConnectionError,
        KafkaError,
        KafkaTimeoutError,
        MetadataTimeoutError,
        ProducerClosedError,
        ProducerFencedError,
        ProtocolError,
        RecordTooLargeError,
        RequestTimeoutError,
        SendAllError,
        SerializationError,
        TransactionAbortableError,
        TransactionAbortedError,
        UndeliveredError,
        UnsupportedVersionError,
    )
    from aioproducer.interceptors import ProducerInterceptor
    from aioproducer.metrics import MetricsSnapshot
    from aioproducer.partitioners import Partitioner
    from aioproducer.serializers import Serializer

    __compiled__: bool

__all__ = [
    "AuthenticationError",
    "AuthorizationError",
    "BootstrapError",
    "BrokerError",
    "BufferFullError",
    "BufferTimeoutError",
    "CommitOutcomeUnknownError",
    "ConfigurationError",
    "ConnectionTimeoutError",
    "Connector",
    "ConsumerGroupMetadata",
    "CorruptRecordError",
    "Delivery",
    "DeliveryCallback",
    "DeliveryTimeoutError",
    "ErrorCode",
    "FatalProducerError",
    "Headers",
    "HeadersLike",
    "IllegalStateError",
    "InvalidRecordError",
    "InvalidTopicError",
    "KafkaConnectionError",
    "KafkaError",
    "KafkaTimeoutError",
    "MetadataTimeoutError",
    "MetricsSnapshot",
    "OffsetAndMetadata",
    "Partitioner",
    "Producer",
    "ProducerClosedError",
    "ProducerConfig",
    "ProducerFencedError",
    "ProducerInterceptor",
    "ProducerProtocol",
    "ProducerRecord",
    "ProducerSettings",
    "ProducerStatus",
    "ProtocolError",
    "RecordMetadata",
    "RecordTooLargeError",
    "RequestTimeoutError",
    "SendAllError",
    "SerializationError",
    "Serializer",
    "Stream",
    "ThreadEntry",
    "TopicHandle",
    "TopicPartition",
    "TopicView",
    "Transaction",
    "TransactionAbortableError",
    "TransactionAbortedError",
    "TransactionBlock",
    "UndeliveredError",
    "UnsupportedVersionError",
    "__compiled__",
    "__version__",
]

_ELSEWHERE = {
    "Connector": "_backend",
    "ConsumerGroupMetadata": "_types",
    "Delivery": "_producer.delivery",
    "DeliveryCallback": "_producer.delivery",
    "Headers": "_types",
    "HeadersLike": "_types",
    "MetricsSnapshot": "metrics",
    "OffsetAndMetadata": "_types",
    "Partitioner": "partitioners",
    "Producer": "_producer.producer",
    "ProducerConfig": "_config",
    "ProducerInterceptor": "interceptors",
    "ProducerProtocol": "_producer.protocol",
    "ProducerRecord": "_types",
    "ProducerSettings": "_config",
    "ProducerStatus": "_producer.status",
    "RecordMetadata": "_types",
    "Serializer": "serializers",
    "Stream": "_backend",
    "ThreadEntry": "_producer.threads",
    "TopicHandle": "_producer.topic",
    "TopicPartition": "_types",
    "TopicView": "_types",
    "Transaction": "_producer.transaction",
    "TransactionBlock": "_producer.transaction",
}
"""The module of each public name that is not in errors."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object
    if name == "__compiled__":  # whether the hot modules are extensions, made by mypyc from the same source
        value = (import_module(f"{__name__}._records.sizes").__file__ or "").endswith((".so", ".pyd"))
    else:
        value = getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
