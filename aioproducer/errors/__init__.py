"""The exceptions, and the error codes of Kafka's protocol.

Everything that this package raises on purpose, apart from TypeError and ValueError for wrong arguments, is a
KafkaError::

    KafkaError
    ├── BrokerError                     the broker answered with an error code that has no class of its own
    │   ├── AuthenticationError         who we are was refused
    │   ├── AuthorizationError          what we asked for is not allowed
    │   ├── UnsupportedVersionError     the broker is too old (or too new) for what is needed
    │   ├── InvalidTopicError           a name that Kafka does not allow, or an internal topic
    │   ├── RecordTooLargeError         larger than max_request_size, buffer_memory or the topic's max.message.bytes
    │   ├── InvalidRecordError          the broker looked into the batch and refused records of it
    │   ├── ProducerFencedError         another producer with our transactional_id has taken over
    │   └── TransactionAbortableError   the open transaction can only be aborted
    ├── ProtocolError                   bytes from the network that are not what Kafka's protocol says
    │   └── CorruptRecordError          a record batch that is damaged
    ├── KafkaConnectionError            the connection was lost, or could not be made
    │   └── BootstrapError              start() reached none of the bootstrap servers
    ├── KafkaTimeoutError               (also TimeoutError)
    │   ├── ConnectionTimeoutError      a connection was not set up in time
    │   ├── RequestTimeoutError         a broker did not answer in time
    │   ├── MetadataTimeoutError        the topic or partition was not known within max_block_ms
    │   ├── BufferTimeoutError          too little of buffer_memory free within max_block_ms
    │   └── DeliveryTimeoutError        not acknowledged within delivery_timeout_ms
    ├── BufferFullError                 submit_nowait found too little of buffer_memory free
    ├── ConfigurationError              (also ValueError) every problem of the settings, at once
    ├── IllegalStateError               a call that is not allowed now, here, or any more
    │   └── ProducerClosedError         the producer was closed, by the caller, before the record was delivered
    ├── FatalProducerError              the producer cannot go on; make a new one
    ├── SerializationError              a serializer raised
    ├── TransactionAbortedError         commit was asked for, but the transaction had to be aborted
    ├── CommitOutcomeUnknownError       whether the transaction is committed is not known
    ├── UndeliveredError                flush() tells of failures that nobody watched
    └── SendAllError                    some records of send_all() failed
"""

from __future__ import annotations

from aioproducer.errors._codes import ErrorCode
from aioproducer.errors._exceptions import (
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
    "CorruptRecordError",
    "DeliveryTimeoutError",
    "ErrorCode",
    "FatalProducerError",
    "IllegalStateError",
    "InvalidRecordError",
    "InvalidTopicError",
    "KafkaConnectionError",
    "KafkaError",
    "KafkaTimeoutError",
    "MetadataTimeoutError",
    "ProducerClosedError",
    "ProducerFencedError",
    "ProtocolError",
    "RecordTooLargeError",
    "RequestTimeoutError",
    "SendAllError",
    "SerializationError",
    "TransactionAbortableError",
    "TransactionAbortedError",
    "UndeliveredError",
    "UnsupportedVersionError",
]

# Programs import them from here; so tracebacks and pickles name this module too.
for _name in __all__:
    globals()[_name].__module__ = __name__
