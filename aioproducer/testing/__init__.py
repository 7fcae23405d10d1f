"""What tests need: an embedded Kafka cluster, a real one, and a proxy that breaks connections.

Names are imported when they are asked for, so that a program that uses one does not pay for the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aioproducer.testing.cluster import BlockingCluster, EmbeddedCluster
    from aioproducer.testing.faults import FaultHandle
    from aioproducer.testing.log_reader import LogRecord, read_topic
    from aioproducer.testing.proxy import FaultProxy
    from aioproducer.testing.real_kafka import RealCluster
    from aioproducer.testing.recording import RecordingProducer

__all__ = [
    "BlockingCluster",
    "EmbeddedCluster",
    "FaultHandle",
    "FaultProxy",
    "LogRecord",
    "RealCluster",
    "RecordingProducer",
    "read_topic",
]

_HOMES: Final = {
    "BlockingCluster": "aioproducer.testing.cluster",
    "EmbeddedCluster": "aioproducer.testing.cluster",
    "FaultHandle": "aioproducer.testing.faults",
    "FaultProxy": "aioproducer.testing.proxy",
    "LogRecord": "aioproducer.testing.log_reader",
    "RealCluster": "aioproducer.testing.real_kafka",
    "RecordingProducer": "aioproducer.testing.recording",
    "read_topic": "aioproducer.testing.log_reader",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
