"""The error that a code becomes which a broker has answered."""

from __future__ import annotations

from typing import Final

from aioproducer.errors._codes import FATAL, KNOWN, POSSIBLY_WRITTEN, RETRIABLE, TEXTS, ErrorCode
from aioproducer.errors._exceptions import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    InvalidRecordError,
    InvalidTopicError,
    ProducerFencedError,
    RecordTooLargeError,
    TransactionAbortableError,
    UnsupportedVersionError,
)

CLASSES: Final[dict[ErrorCode, type[BrokerError]]] = {
    ErrorCode.MESSAGE_TOO_LARGE: RecordTooLargeError,
    ErrorCode.INVALID_TOPIC_EXCEPTION: InvalidTopicError,
    ErrorCode.RECORD_LIST_TOO_LARGE: RecordTooLargeError,
    ErrorCode.TOPIC_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.GROUP_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.CLUSTER_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.DELEGATION_TOKEN_AUTHORIZATION_FAILED: AuthorizationError,
    ErrorCode.INVALID_TIMESTAMP: InvalidRecordError,
    ErrorCode.INVALID_RECORD: InvalidRecordError,
    ErrorCode.UNSUPPORTED_SASL_MECHANISM: AuthenticationError,
    ErrorCode.ILLEGAL_SASL_STATE: AuthenticationError,
    ErrorCode.SASL_AUTHENTICATION_FAILED: AuthenticationError,
    ErrorCode.UNSUPPORTED_VERSION: UnsupportedVersionError,
    ErrorCode.PRODUCER_FENCED: ProducerFencedError,
    ErrorCode.TRANSACTION_ABORTABLE: TransactionAbortableError,
}
"""The class of a code; those not listed are plain BrokerErrors."""


LONGEST_TEXT: Final = 500
"""Characters of a broker's own text that are told."""

_WRITING: Final = frozenset({None, "Produce"})
"""The requests that write records; None when nobody has said which it was."""


def error_for(
    code: int,
    message: str | None = None,
    *,
    api: str | None = None,
    node: int | None = None,
    topic: str | None = None,
    partition: int | None = None,
    subject: str = "",
) -> BrokerError:
    """Return the error for a broker's error code (not raised, and not for code 0).

    The flags are the code's own; whoever knows the request better may set them on the error afterwards.

    Args:
        code: any int16; codes that this version does not know count as UNKNOWN_SERVER_ERROR does, but keep their
            number.
        message: the broker's own text, if it sent one.
        api: the request that was answered, by its name in the protocol.
        node: the id of the broker; a negative one is a bootstrap server's.
        topic: the topic that the answer is about.
        partition: the partition that the answer is about.
        subject: what else it is about, in words, such as "group 'billing'".
    """
    known = ErrorCode(code) if code in KNOWN else ErrorCode.UNKNOWN_SERVER_ERROR
    error = CLASSES.get(known, BrokerError)(code=code, api=api, node=node, topic=topic, partition=partition)
    error.retriable = code in RETRIABLE
    error.fatal = error.fatal or code in FATAL
    error.abortable = error.abortable and not error.fatal
    error.possibly_written = known in POSSIBLY_WRITTEN and api in _WRITING
    error.args = (_broker_text(error, TEXTS.get(known), message, subject),)
    return error


def _in_one_line(message: str) -> str:
    """Return a broker's text without line breaks and control characters, and not all of a long one."""
    plain = "".join(char if char.isprintable() else " " for char in message[:LONGEST_TEXT])
    return f"{plain} …" if len(message) > LONGEST_TEXT else plain


def _broker_text(error: BrokerError, meaning: str | None, message: str | None, subject: str) -> str:
    asked = "" if error.api is None else f" {error.api}"
    about = f" for {subject}" if subject else ""
    about += "" if error.topic is None else f" for topic {error.topic!r}"
    where = "" if error.partition is None else f" partition {error.partition}"
    means = "" if meaning is None else f": {meaning}"
    said = f" (it says: {_in_one_line(message)})" if message else ""
    return f"{_who(error.node)} answered{asked}{about}{where} with {error.name} ({error.code}){means}{said}"


def _who(node: int | None) -> str:
    if node is None:
        return "the broker"
    return f"broker {node}" if node >= 0 else "a bootstrap server"
