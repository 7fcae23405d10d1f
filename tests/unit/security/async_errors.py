"""What a coroutine raises, after a look at all that it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer.errors import KafkaError
from tests.unit.sasl.canary import assert_error_hides

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def error_when_awaited(awaitable: Awaitable[object]) -> KafkaError:
    """Return what it raises."""
    with pytest.raises(KafkaError) as caught:
        await awaitable
    assert_error_hides(caught.value)
    return caught.value
