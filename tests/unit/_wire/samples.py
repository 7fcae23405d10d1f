"""Which messages and versions are there, and what does a randomly filled one look like?"""

from __future__ import annotations

import random
from typing import Any, Final, TypeAlias
from uuid import UUID

from aioproducer._wire.fields import Field, Kind
from aioproducer._wire.messages import REQUESTS, RESPONSES
from aioproducer._wire.schema import Message, Struct

Case: TypeAlias = tuple[type[Message], int]

CLASSES: Final[list[type[Message]]] = [*REQUESTS.values(), *RESPONSES.values()]
CASES: Final[list[Case]] = [
    (cls, version) for cls in CLASSES for version in range(cls.min_version, cls.max_version + 1)
]

_BITS: Final = {Kind.INT8: 8, Kind.INT16: 16, Kind.INT32: 32, Kind.INT64: 64}
_TEXTS: Final = ("", "a", "orders", "grün-π-漢-🐟", "x" * 126, "x" * 127, "y" * 128, "z" * 300)


def case_id(case: Case) -> str:
    """The name of a case in a test's id."""
    return f"{case[0].__name__}-v{case[1]}"


def random_message(cls: type[Message], version: int, rng: random.Random) -> Message:
    """A message of the class that has any value in each field of the version, and defaults in the others."""
    return cls(**_values(cls, version, rng))


def _values(cls: type[Struct], version: int, rng: random.Random) -> dict[str, Any]:
    return {name: _value(field, version, rng) for name, field in cls.FIELDS.items() if field.is_in(version)}


def _value(field: Field, version: int, rng: random.Random) -> Any:
    if field.is_nullable_in(version) and rng.random() < 0.2:
        return None
    if field.element is not None:
        longest = 3 if field.element.struct is not None else rng.choice((3, 20, 130))
        return [_value(field.element, version, rng) for _ in range(rng.randint(0, longest))]
    if field.struct is not None:
        # Now and then what a tagged field is not sent for.
        return field.struct() if rng.random() < 0.3 else field.struct(**_values(field.struct, version, rng))
    if field.tag is not None and rng.random() < 0.3:
        return field.default
    return _scalar(field.kind, rng)


def _scalar(kind: Kind, rng: random.Random) -> Any:
    match kind:
        case Kind.BOOL:
            return rng.random() < 0.5
        case Kind.STRING:
            return rng.choice(_TEXTS)
        case Kind.UUID:
            return UUID(int=rng.choice((0, rng.getrandbits(128))))
        case Kind.BYTES | Kind.RECORDS:
            return rng.randbytes(rng.choice((0, 1, 61, 127, 128, 20_000)))
        case _:
            limit = 1 << (_BITS[kind] - 1)
            return rng.choice((0, 1, -1, limit - 1, -limit, rng.randrange(-limit, limit)))
