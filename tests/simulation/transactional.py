"""What is particular to the histories with transactions: one seed in four."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aioproducer._types import TopicPartition
from aioproducer._wire.api_keys import ApiKey
from aioproducer.testing._broker.groups import Groups

if TYPE_CHECKING:
    from random import Random

ID: Final = "x"
GROUPS: Final = ("g0", "g1")
OFFSETS_OF: Final = TopicPartition("t0", 0)
"""Whose offsets are committed, each with a number of its own."""

SUITABLE: Final = ("anything", "sparse", "cold", "split", "denied")
"""Themes that make sense within transactions."""

APIS: Final = (
    ApiKey.END_TXN,
    ApiKey.END_TXN,
    ApiKey.TXN_OFFSET_COMMIT,
    ApiKey.ADD_PARTITIONS_TO_TXN,
    ApiKey.ADD_OFFSETS_TO_TXN,
    ApiKey.INIT_PRODUCER_ID,
    ApiKey.FIND_COORDINATOR,
    ApiKey.DESCRIBE_TRANSACTIONS,
)
"""What a coordinator is asked."""

LAST_EPOCH: Final = 32_766

_HARMLESS: Final = (
    "lose_coordinators_response",
    "close_at_coordinators_request",
    "delay_coordinator",
    "refuse_coordination",
    "stop_coordinator",
    "upgrade",
)
_HARMFUL: Final = ("fail_transaction",)


@dataclass(frozen=True, slots=True)
class Transactional:
    """The transactions of a history.

    Attributes:
        version: of the feature transaction.version, at the beginning.
        marker_delay: seconds from the answer to EndTxn to the markers.
        gap: mean time between two steps of the program, in seconds.
        rivals: at these times another producer comes with the same transactional id.
        first_epoch: of the first producer; near the last one there is, so that the producer id changes.
    """

    version: int
    marker_delay: float
    gap: float
    rivals: tuple[float, ...]
    first_epoch: int


def make_transactional(
    rng: Random, drawn: dict[str, Any], settings: dict[str, Any], theme: str, *, is_patient: bool
) -> None:
    """Change what was drawn into a history with transactions. Any: values of a scenario, and settings."""
    for name in ("enable_idempotence", "acks", "retries"):
        settings.pop(name, None)
    version = rng.choice((1, 2, 2))
    duration = drawn["duration"]
    settings["transactional_id"] = ID
    settings["transaction_timeout_ms"] = 900_000 if is_patient else rng.choice((100, 500, 2000, 60_000))
    timeout = settings["transaction_timeout_ms"] / 1000
    if timeout < duration / 20 or is_patient:
        timeout = duration
    drawn |= {
        "first_sequence": 0,
        "first_epoch": 0,
        "max_versions": {int(ApiKey.PRODUCE): rng.choice((7, 9, 11))} if version == 1 and rng.random() < 0.3 else {},
        "ending": "flush" if drawn["ending"] == "lapse" else drawn["ending"],
        "transactional": Transactional(
            version=version,
            marker_delay=rng.choice((0.0, 0.0, 0.005, 0.1)),
            gap=min(duration, timeout) / rng.choice((10, 20, 40)),
            rivals=tuple(sorted(rng.random() * duration for _ in range(rng.choice((0, 0, 0, 1, 2))))),
            first_epoch=LAST_EPOCH - rng.randint(0, 3) if rng.random() < 0.2 else -1,
        ),
    }
    if not drawn["faults"]:
        return
    share = rng.choice((0.2, 0.5))
    kinds = [kind for kind in _HARMLESS if rng.random() < share]
    if not is_patient:
        kinds += [kind for kind in _HARMFUL if rng.random() < share / 2]
    if theme == "sparse":
        kinds = [kind for kind in kinds if kind not in ("delay_coordinator", "stop_coordinator")]
    drawn["faults"] = tuple(kind for kind in (*drawn["faults"], *kinds) if kind not in _FORGETFUL)


_FORGETFUL: Final = ("recreate_topic", "forget_producers")  # no transaction is safe from these


class NotingGroups(Groups):
    """The groups' offsets, with a note of all that were ever committed.

    Attributes:
        committed: those of transactions; each is a number of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.committed: set[int] = set()

    def end(self, group: str, producer_id: int, *, commit: bool) -> None:
        if commit:
            self.committed |= {each.offset for each in self._pending.get((group, producer_id), {}).values()}
        super().end(group, producer_id, commit=commit)
