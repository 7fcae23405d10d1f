"""A setting: a name, what checks its values, a default, and a text."""

from __future__ import annotations

from dataclasses import MISSING, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from aioproducer._config.kinds import Kind


class Setting(NamedTuple):
    """One declaration. A tuple, as making the class takes 0.1 ms of importing the producer, a frozen dataclass 0.6.

    Attributes:
        name: as an argument.
        kind: checks a value.
        default: what holds when it is not given; meaningless if `required`.
        required: it must be given.
        text: what it does.
        java_name: its name in Kafka's Java producer, None if that has no such setting.
        secret: never shown.
    """

    name: str
    kind: Kind
    default: Any
    required: bool
    text: str
    java_name: str | None
    secret: bool = False


def setting(kind: Kind, text: str, *, default: Any = MISSING, java: str | None = "", secret: bool = False) -> Any:
    """Declare a setting as a dataclass field; `java` where Kafka's name is not the same with dots, None for ours."""
    metadata = {"kind": kind, "text": text, "java": java, "secret": secret}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)
