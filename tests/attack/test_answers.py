"""What one broker answers wrongly stays its own fault: other topics go on, calls end in time, and it heals.

Some damages are drawn for each API here; `make attack` plays all of them on every loop.
"""

from __future__ import annotations

from typing import Final

import pytest

from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from tests.attack.answers import APIS, Damage, attack_with, damages
from tests.attack.sample import again, drawn

DRAWN: Final = 6


def chosen() -> list[Damage]:
    """Return DRAWN damages for each API."""
    return [damage for api in APIS for damage in drawn(damages(api), DRAWN)]


@pytest.mark.parametrize("loop", ["asyncio"])
@pytest.mark.parametrize("damage", chosen(), ids=str)
def test_a_wrong_answer_hurts_nobody_else(damage: Damage, loop: str) -> None:
    assert attack_with(damage, loop) == [], again("--answer", str(damage), "--loop", loop)


def test_damage_stays_in_its_own_answer() -> None:
    whole = ProduceResponse(responses=[TopicProduceResponse(partition_responses=[PartitionProduceResponse()])])
    data = whole.encode(13)
    for damage in damages(ApiKey.PRODUCE):
        damage.apply(ProduceResponse.decode(data, 13))
        assert ProduceResponse.decode(data, 13) == whole, damage
