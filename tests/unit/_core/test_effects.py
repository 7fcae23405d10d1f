"""Effects are values."""

from __future__ import annotations

import pytest

from aioproducer._core.cluster.node import InFlight
from aioproducer._core.effects import Completed, Connect, Disconnect, Effect, Send


@pytest.mark.parametrize(
    "effect",
    [
        Connect(1, "h", 9092, 10.0),
        Send(1, InFlight(3, 13, 1, None, 0.0, 30.0), None, None),
        Disconnect(1, None),
        Completed([]),
    ],
    ids=lambda effect: type(effect).__name__,
)
def test_an_effect_cannot_be_changed(effect: Effect) -> None:
    with pytest.raises(AttributeError):
        setattr(effect, effect._fields[0], 0)
