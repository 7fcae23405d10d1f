"""The mechanisms that there are, and how an exchange is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer.testing._broker.sasl.oauthbearer import OAuthBearer
from aioproducer.testing._broker.sasl.plain import Plain
from aioproducer.testing._broker.sasl.scram import Scram

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aioproducer.testing._broker.sasl.steps import Mechanism
    from aioproducer.testing._broker.state import ClusterState

NONCE_BYTES: Final = 16


def _scram(name: str) -> Callable[[ClusterState], Mechanism]:
    return lambda state: Scram(name, state.users, state.random_bytes(NONCE_BYTES).hex(), state.wall_ms)


MECHANISMS: Final[Mapping[str, Callable[[ClusterState], Mechanism]]] = {
    "PLAIN": lambda state: Plain(state.users),
    "SCRAM-SHA-256": _scram("SCRAM-SHA-256"),
    "SCRAM-SHA-512": _scram("SCRAM-SHA-512"),
    "OAUTHBEARER": lambda state: OAuthBearer(state.validate_token, state.wall_ms),
}
"""By name: what begins an exchange."""
