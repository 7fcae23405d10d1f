"""Access control lists: who may do what (Java class StandardAuthorizer).

A denial wins over what is allowed. What is neither is allowed, unless everything is denied by default, as a broker with
an authorizer does. Another difference from Kafka's: an entry for one principal closes nothing to the others.
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ANONYMOUS: Final = "User:ANONYMOUS"
EVERYONE: Final = "User:*"
ANY_NAME: Final = "*"
CLUSTER_NAME: Final = "kafka-cluster"


class Operation(IntEnum):
    """What can be allowed or denied, by its number in Kafka's protocol (Java class AclOperation)."""

    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


class Resource(Enum):
    """What it can be done to (Java class ResourceType)."""

    TOPIC = auto()
    GROUP = auto()
    CLUSTER = auto()
    TRANSACTIONAL_ID = auto()


IMPLIED_BY: Final = {
    Operation.DESCRIBE: (Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER),
    Operation.DESCRIBE_CONFIGS: (Operation.ALTER_CONFIGS,),
}
"""Who may do one of these may do that too; a denial implies nothing."""


class Entry(NamedTuple):
    """One ACL; EVERYONE and ANY_NAME stand for all."""

    principal: str
    operation: Operation
    resource: Resource
    name: str


class Acls:
    """The ACLs of a cluster.

    Attributes:
        deny_by_default: what nothing is said about is denied.
    """

    def __init__(self, *, deny_by_default: bool = False) -> None:
        self.deny_by_default = deny_by_default
        self._allowed: set[Entry] = set()
        self._denied: set[Entry] = set()

    @property
    def is_open(self) -> bool:
        """Nobody is denied anything."""
        return not self._denied and not self.deny_by_default

    def allow(self, entry: Entry) -> None:
        """Allow, and take the same entry among the denials away."""
        self._denied.discard(entry)
        self._allowed.add(entry)

    def deny(self, entry: Entry) -> None:
        """Deny, and take the same entry among what is allowed away."""
        self._allowed.discard(entry)
        self._denied.add(entry)

    def clear(self) -> None:
        """Forget all entries."""
        self._allowed.clear()
        self._denied.clear()

    def allows(self, principal: str, operation: Operation, resource: Resource, name: str = CLUSTER_NAME) -> bool:
        """Whether the principal may do that."""
        if any(entry in self._denied for entry in _entries(principal, (operation,), resource, name)):
            return False
        if not self.deny_by_default:
            return True
        sufficient = (operation, *IMPLIED_BY.get(operation, ()))
        return any(entry in self._allowed for entry in _entries(principal, sufficient, resource, name))

    def allows_on_any_topic(self, principal: str, operation: Operation) -> bool:
        """Whether there is a topic, if only by its name, to which the principal may do that (KIP-679)."""
        if not self.deny_by_default:
            return self.allows(principal, operation, Resource.TOPIC, ANY_NAME)
        names = [entry.name for entry in self._allowed if entry.resource is Resource.TOPIC]
        return any(self.allows(principal, operation, Resource.TOPIC, name) for name in names)

    def operations(self, principal: str, resource: Resource, name: str, of: int) -> int:
        """A bit for each operation of the mask `of` that the principal may do."""
        operations = (each for each in Operation if of >> each & 1)
        return sum(1 << each for each in operations if self.allows(principal, each, resource, name))


def _entries(principal: str, operations: Iterable[Operation], resource: Resource, name: str) -> Iterator[Entry]:
    for who in (principal, EVERYONE):
        for operation in (*operations, Operation.ALL):
            for what in (name, ANY_NAME):
                yield Entry(who, operation, resource, what)
