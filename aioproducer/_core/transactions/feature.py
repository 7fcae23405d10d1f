"""The feature `transaction.version` of the cluster: in which of the two ways transactions are run (KIP-890)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aioproducer._core.transactions.requests import VERSION_1, VERSION_2

if TYPE_CHECKING:
    from aioproducer._wire.negotiation import BrokerVersions

_FEATURE: Final = "transaction.version"


class TransactionFeature:
    """What the cluster has agreed on, and what the next transaction uses: never looked at within a transaction.

    Attributes:
        version: of the next transaction, VERSION_1 or VERSION_2.
    """

    def __init__(self) -> None:
        self.version = VERSION_1
        self._level = 0  # as of the newest agreement of the cluster that was seen
        self._level_epoch = -1

    def on_versions(self, versions: BrokerVersions) -> None:
        """Take over what a broker says of the cluster, unless another one has told of a newer agreement."""
        if versions.finalized_features_epoch >= self._level_epoch:
            self._level_epoch = versions.finalized_features_epoch
            self._level = versions.finalized_features.get(_FEATURE, 0)

    def adopt(self) -> int:
        """Let the next transaction use what is agreed on now; return it."""
        self.version = VERSION_2 if self._level >= VERSION_2 else VERSION_1
        return self.version
