"""Effects are values."""

from __future__ import annotations

import pytest

from aioproducer._core.effects import Completed, Connect, Disconnect, Effect, Send


@pytest.mark.parametrize(
    "effect",
    [Connect(1, "h", 9092, 10.0), Send(1, 1, 13, None, None, True), Disconnect(1, None), Completed([])],
    ids=lambda effect: type(effect).__name__,
)
def test_an_effect_cannot_be_changed(effect: Effect) -> None:
    with pytest.raises(AttributeError):
        setattr(effect, effect._fields[0], 0)
