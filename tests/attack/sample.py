"""What is drawn of the attacks for `make test`: the same for the same seed, which ATTACK_SEED sets.

`make attack` plays all of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import Final, TypeVar

T = TypeVar("T")
SEED: Final = int(os.environ.get("ATTACK_SEED", "20261130"))


def drawn(things: Iterable[T], count: int) -> list[T]:
    """Draw so many, or all if there are no more."""
    every = list(things)
    return random.Random(SEED).sample(every, min(count, len(every)))


def again(*choice: str) -> str:
    """Say how an attack is played again."""
    quoted = [f"'{part}'" if " " in part else part for part in choice]
    return f"ATTACK_SEED={SEED}; python -m tests.attack {' '.join(quoted)}"
