"""The broker's side of SASL: mechanisms as steps from bytes to bytes, and where a connection stands.

Written without the client's side, so that a mistake in one is found by the other.
"""

from __future__ import annotations

from aioproducer.testing._broker.sasl.mechanisms import MECHANISMS
from aioproducer.testing._broker.sasl.session import Session

__all__ = ["MECHANISMS", "Session"]
