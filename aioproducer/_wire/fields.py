"""The types that a message's fields can have, and how one is declared.

The declaring functions stand on the right-hand side of an annotated class attribute::

    class PartitionProduceResponse(Struct):
        index: int = int32()
        log_start_offset: int = int64(since=5, default=-1)
        error_message: str | None = string(since=8, nullable_since=8, default=None)
        current_leader: LeaderIdAndEpoch = struct(LeaderIdAndEpoch, since=10, tag=0)
        record_errors: list[BatchIndexAndErrorMessage] = array(BatchIndexAndErrorMessage, since=8)

They return a `Field`, which the class's metaclass takes out again, but say that they return a value of the field's
type: so a type checker sees an attribute with a default, and a constructor whose keywords may all be left out.

All take: `since` and `until`, the versions that have the field, both included; `tag`, its number if it is a tagged
field in all of those versions (KIP-482); `ignorable`, which is True when a value may be dropped silently in a version
without the field; and those types that can be null `nullable_since`, the first version in which they can. `default`
is the value where a version has no such field, and, for a tagged one, the value that is not sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, cast, overload
from uuid import UUID

from aioproducer._wire.primitives import ZERO_UUID

T = TypeVar("T")

Records: TypeAlias = bytes | bytearray | memoryview | Sequence[bytes | bytearray | memoryview]
"""Record batches: one buffer or several to be sent one after the other. Decoding gives a memoryview."""

LATEST: Final = 32_767
"""The `until` of a field that was never removed."""


class Kind(Enum):
    """The types of Kafka's message format; values are their names in Kafka's schemas."""

    BOOL = "bool"
    INT8 = "int8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    INT64 = "int64"
    UUID = "uuid"
    STRING = "string"
    BYTES = "bytes"
    RECORDS = "records"
    STRUCT = "struct"
    ARRAY = "array"


STRUCT_FORMATS: Final[dict[Kind, str]] = {
    Kind.BOOL: "?",
    Kind.INT8: "b",
    Kind.INT16: "h",
    Kind.UINT16: "H",
    Kind.INT32: "i",
    Kind.INT64: "q",
    Kind.UUID: "16s",
}
"""The kinds of fixed width, by their letters in the struct module."""


class Field(NamedTuple):
    """The declaration of one field.

    Attributes:
        kind: the type; ARRAY has `element`, STRUCT has `struct`.
        default: the value where a version lacks it; () stands for a new empty list, None for a STRUCT's own defaults.
    """

    kind: Kind
    since: int = 0
    until: int = LATEST
    nullable_since: int | None = None
    default: Any = None  # a value of the field's type, which the declaring function has checked
    tag: int | None = None
    ignorable: bool = False
    element: Field | None = None
    struct: type[Any] | None = None  # a Struct class; that module stands above this one

    def is_in(self, version: int) -> bool:
        """Whether the version has this field."""
        return self.since <= version <= self.until

    def is_nullable_in(self, version: int) -> bool:
        """Whether it can be null in the version."""
        return self.nullable_since is not None and version >= self.nullable_since

    @property
    def has_fresh_default(self) -> bool:
        """Whether each message needs a default of its own, as it can be changed: an array, a struct."""
        return self.kind is Kind.STRUCT or (self.kind is Kind.ARRAY and self.default is not None)


def boolean(
    *, since: int = 0, until: int = LATEST, default: bool = False, tag: int | None = None, ignorable: bool = False
) -> bool:
    """Declare a bool: one byte, 0 or 1."""
    return cast(bool, Field(Kind.BOOL, since, until, default=default, tag=tag, ignorable=ignorable))


def int8(
    *, since: int = 0, until: int = LATEST, default: int = 0, tag: int | None = None, ignorable: bool = False
) -> int:
    """Declare an int8."""
    return cast(int, Field(Kind.INT8, since, until, default=default, tag=tag, ignorable=ignorable))


def int16(
    *, since: int = 0, until: int = LATEST, default: int = 0, tag: int | None = None, ignorable: bool = False
) -> int:
    """Declare an int16."""
    return cast(int, Field(Kind.INT16, since, until, default=default, tag=tag, ignorable=ignorable))


def int32(
    *, since: int = 0, until: int = LATEST, default: int = 0, tag: int | None = None, ignorable: bool = False
) -> int:
    """Declare an int32."""
    return cast(int, Field(Kind.INT32, since, until, default=default, tag=tag, ignorable=ignorable))


def int64(
    *, since: int = 0, until: int = LATEST, default: int = 0, tag: int | None = None, ignorable: bool = False
) -> int:
    """Declare an int64."""
    return cast(int, Field(Kind.INT64, since, until, default=default, tag=tag, ignorable=ignorable))


def uuid(*, since: int = 0, until: int = LATEST, tag: int | None = None, ignorable: bool = False) -> UUID:
    """Declare a UUID; all zeros (ZERO_UUID) when there is none."""
    return cast(UUID, Field(Kind.UUID, since, until, default=ZERO_UUID, tag=tag, ignorable=ignorable))


@overload
def string(
    *, since: int = 0, until: int = LATEST, default: str = "", tag: int | None = None, ignorable: bool = False
) -> str: ...
@overload
def string(
    *,
    since: int = 0,
    until: int = LATEST,
    nullable_since: int,
    default: str | None = "",
    tag: int | None = None,
    ignorable: bool = False,
) -> str | None: ...
def string(
    *,
    since: int = 0,
    until: int = LATEST,
    nullable_since: int | None = None,
    default: str | None = "",
    tag: int | None = None,
    ignorable: bool = False,
) -> str | None:
    """Declare a string: UTF-8, at most 32,767 bytes."""
    return cast(str, Field(Kind.STRING, since, until, nullable_since, default, tag, ignorable))


def binary(*, since: int = 0, until: int = LATEST, ignorable: bool = False) -> bytes:
    """Declare bytes that are not records."""
    return cast(bytes, Field(Kind.BYTES, since, until, default=b"", ignorable=ignorable))


def records(*, since: int = 0, until: int = LATEST, nullable_since: Literal[0] = 0) -> Records | None:
    """Declare record batches."""
    return cast(bytes, Field(Kind.RECORDS, since, until, nullable_since))


def struct(of: type[T], *, since: int = 0, until: int = LATEST, tag: int | None = None, ignorable: bool = False) -> T:
    """Declare a nested Struct."""
    return cast(T, Field(Kind.STRUCT, since, until, tag=tag, ignorable=ignorable, struct=of))


@overload
def array(
    of: Callable[..., T], *, since: int = 0, until: int = LATEST, tag: int | None = None, ignorable: bool = False
) -> list[T]: ...
@overload
def array(
    of: Callable[..., T],
    *,
    since: int = 0,
    until: int = LATEST,
    nullable_since: int,
    default: Sequence[T] | None = (),
    tag: int | None = None,
    ignorable: bool = False,
) -> list[T] | None: ...
def array(
    of: Callable[..., T],
    *,
    since: int = 0,
    until: int = LATEST,
    nullable_since: int | None = None,
    default: Sequence[Any] | None = (),
    tag: int | None = None,
    ignorable: bool = False,
) -> list[T] | None:
    """Declare an array of a Struct, or of a type above by its declaring function: `array(int32)`."""
    element = Field(Kind.STRUCT, struct=of) if isinstance(of, type) else cast(Field, of())
    return cast("list[T]", Field(Kind.ARRAY, since, until, nullable_since, default, tag, ignorable, element))
