"""What tests need: an embedded Kafka cluster, a real one, and a proxy that breaks connections.

Names are imported when they are asked for, so that a program that uses one does not pay for the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aioproducer.testing._broker.tokens import AcceptedToken, TokenError
    from aioproducer.testing._certificates import ClientCertificate
    from aioproducer.testing._cluster import BlockingCluster, ClusterSettings, EmbeddedCluster
    from aioproducer.testing._faults import FaultHandle
    from aioproducer.testing._fixtures import Kafka
    from aioproducer.testing._interception import Interception
    from aioproducer.testing._log_reader import LogRecord, read_topic
    from aioproducer.testing._proxy import FaultProxy
    from aioproducer.testing._real_kafka import RealCluster
    from aioproducer.testing._recording import RecordingProducer
    from aioproducer.testing.pytest_plugin import ClusterFactory

__all__ = [
    "AcceptedToken",
    "BlockingCluster",
    "ClientCertificate",
    "ClusterFactory",
    "ClusterSettings",
    "EmbeddedCluster",
    "FaultHandle",
    "FaultProxy",
    "Interception",
    "Kafka",
    "LogRecord",
    "RealCluster",
    "RecordingProducer",
    "TokenError",
    "read_topic",
]

_MODULES: Final = {
    "AcceptedToken": "aioproducer.testing._broker.tokens",
    "BlockingCluster": "aioproducer.testing._cluster",
    "ClientCertificate": "aioproducer.testing._certificates",
    "ClusterFactory": "aioproducer.testing.pytest_plugin",
    "ClusterSettings": "aioproducer.testing._cluster",
    "EmbeddedCluster": "aioproducer.testing._cluster",
    "FaultHandle": "aioproducer.testing._faults",
    "FaultProxy": "aioproducer.testing._proxy",
    "Interception": "aioproducer.testing._interception",
    "Kafka": "aioproducer.testing._fixtures",
    "LogRecord": "aioproducer.testing._log_reader",
    "RealCluster": "aioproducer.testing._real_kafka",
    "RecordingProducer": "aioproducer.testing._recording",
    "TokenError": "aioproducer.testing._broker.tokens",
    "read_topic": "aioproducer.testing._log_reader",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
