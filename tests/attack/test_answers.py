"""What one broker answers wrongly stays its own fault: other topics go on, calls end in time, and it heals.

Some damages are drawn for each API here; `make attack` plays all of them on every loop.
"""

from __future__ import annotations

import random
from typing import Final

import pytest

from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from tests.attack.answers import APIS, Damage, attack_with, damages

SEED: Final = 20_261_130
DRAWN: Final = 6


def drawn() -> list[Damage]:
    """Return DRAWN damages for each API, the same for the same seed."""
    rng = random.Random(SEED)
    return [damage for api in APIS for damage in rng.sample(list(damages(api)), DRAWN)]


@pytest.mark.parametrize("loop", ["asyncio"])
@pytest.mark.parametrize("damage", drawn(), ids=str)
def test_a_wrong_answer_hurts_nobody_else(damage: Damage, loop: str) -> None:
    assert attack_with(damage, loop) == [], f"python -m tests.attack --answer {damage} --loop {loop}"


def test_damage_stays_in_its_own_answer() -> None:
    whole = ProduceResponse(responses=[TopicProduceResponse(partition_responses=[PartitionProduceResponse()])])
    data = whole.encode(13)
    for damage in damages(ApiKey.PRODUCE):
        damage.apply(ProduceResponse.decode(data, 13))
        assert ProduceResponse.decode(data, 13) == whole, damage
