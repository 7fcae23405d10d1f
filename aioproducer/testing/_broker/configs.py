"""The topic settings that the cluster knows, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.requests import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULTS: Final[Mapping[str, str]] = {
    "cleanup.policy": "delete",
    "compression.type": "producer",
    "max.message.bytes": "1048588",
    "message.timestamp.after.max.ms": "3600000",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "segment.bytes": "1073741824",
}
"""Settings of a topic, with Kafka 4.3's defaults. Those without an effect here are kept and described."""

_STRING, _INT, _LONG, _LIST = 2, 3, 5, 7
TYPES: Final[Mapping[str, int]] = {
    "cleanup.policy": _LIST,
    "compression.type": _STRING,
    "max.message.bytes": _INT,
    "message.timestamp.after.max.ms": _LONG,
    "message.timestamp.before.max.ms": _LONG,
    "message.timestamp.type": _STRING,
    "min.insync.replicas": _INT,
    "retention.bytes": _LONG,
    "retention.ms": _LONG,
    "segment.bytes": _INT,
}
"""What DescribeConfigs says of each (Java class DescribeConfigsResponse.ConfigType)."""

_NEVER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """The settings of a topic that have an effect, parsed once."""

    compacted: bool
    max_message_bytes: int
    message_timestamp_after_max_ms: int
    message_timestamp_before_max_ms: int
    log_append_time: bool
    min_insync_replicas: int
    retention_bytes: int

    @property
    def checks_early_timestamps(self) -> bool:
        return self.message_timestamp_before_max_ms != _NEVER


def parse(settings: Mapping[str, str]) -> TopicConfig:
    """The settings given, over the defaults.

    Raises:
        Refused: INVALID_CONFIG for a name that is not known or a value that does not fit.
    """
    for name, value in settings.items():
        if name not in DEFAULTS:
            raise Refused(ErrorCode.INVALID_CONFIG, f"Unknown topic config name: {name}")
        _check(name, value)
    merged = {**DEFAULTS, **settings}
    return TopicConfig(
        compacted="compact" in merged["cleanup.policy"],
        max_message_bytes=int(merged["max.message.bytes"]),
        message_timestamp_after_max_ms=int(merged["message.timestamp.after.max.ms"]),
        message_timestamp_before_max_ms=int(merged["message.timestamp.before.max.ms"]),
        log_append_time=merged["message.timestamp.type"] == "LogAppendTime",
        min_insync_replicas=int(merged["min.insync.replicas"]),
        retention_bytes=int(merged["retention.bytes"]),
    )


def _one_of(*choices: str) -> Callable[[str], bool]:
    return lambda value: value in choices


def _at_least(minimum: int) -> Callable[[str], bool]:
    return lambda value: value.lstrip("-").isdecimal() and int(value) >= minimum


_CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    "cleanup.policy": _one_of("delete", "compact", "compact,delete", "delete,compact"),
    "compression.type": _one_of("producer"),
    "max.message.bytes": _at_least(0),
    "message.timestamp.after.max.ms": _at_least(0),
    "message.timestamp.before.max.ms": _at_least(0),
    "message.timestamp.type": _one_of("CreateTime", "LogAppendTime"),
    "min.insync.replicas": _at_least(1),
    "retention.bytes": _at_least(-1),
    "retention.ms": _at_least(-1),
    "segment.bytes": _at_least(1),
}


def _check(name: str, value: str) -> None:
    if not _CHECKS[name](value):
        raise Refused(ErrorCode.INVALID_CONFIG, f"Invalid value {value} for configuration {name}")
