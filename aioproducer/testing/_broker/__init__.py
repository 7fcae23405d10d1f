"""A Kafka cluster as a pure core: requests in, answers now or later; no socket, no clock, no randomness of its own.

`ClusterCore` is the whole cluster: every broker, topic, log and coordinator. It is served over TCP by
`aioproducer.testing._cluster`, and driven directly by simulations.
"""

from __future__ import annotations

from aioproducer.testing._broker.core import Closed, ClusterCore, Output, Reply
from aioproducer.testing._broker.faults import Fault
from aioproducer.testing._broker.state import ClusterState

__all__ = ["Closed", "ClusterCore", "ClusterState", "Fault", "Output", "Reply"]
