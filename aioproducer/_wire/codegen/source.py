"""The source of a generated function, and the order in which the fields of a version come.

What the decoders and the encoders have in common.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

from aioproducer._wire.fields import STRUCT_FORMATS, Field, Kind

if TYPE_CHECKING:
    from aioproducer._wire.schema import Struct


class Source:
    """Lines of a function body, with the objects that they name.

    Attributes:
        version, flexible: of the message, for which the function is.
        names: the globals of the function.
    """

    def __init__(self, version: int, *, flexible: bool, names: Mapping[str, Any]) -> None:
        self.version = version
        self.flexible = flexible
        self.names: dict[str, Any] = dict(names)
        self._lines: list[str] = []
        self._depth = 1
        self._unique = 0

    def add(self, *lines: str) -> None:
        """Append lines, in the block that is open."""
        self._lines.extend("    " * self._depth + line for line in lines)

    @contextmanager
    def block(self, header: str) -> Generator[None]:
        """Append a line whose block is what is added inside of the `with`."""
        self.add(header)
        self._depth += 1
        yield
        self._depth -= 1

    def new(self, prefix: str) -> str:
        """Return a name not used yet."""
        self._unique += 1
        return f"{prefix}{self._unique}"

    def constant(self, prefix: str, value: Any) -> str:
        """Return the name of an object that the code uses."""
        name = self.new(prefix)
        self.names[name] = value
        return name

    def literal(self, field: Field) -> str:
        """Return the expression of a field's default."""
        if field.kind is Kind.ARRAY:
            return "None" if field.default is None else "[]"
        if field.struct is not None or field.kind is Kind.UUID:
            return self.constant("D", default_of(field))  # shared: a struct inside of a message is not changed
        return repr(field.default)

    def text(self, name: str, parameters: str) -> str:
        """Return the source of the function."""
        return "\n".join([f"def {name}({parameters}):", *(self._lines or ["    pass"]), ""])

    def function(self, name: str, parameters: str) -> Any:
        """Return the function, compiled."""
        code = compile(self.text(name, parameters), f"<aioproducer message codec {name}>", "exec")
        exec(code, self.names)
        return self.names[name]


def default_of(field: Field) -> Any:
    """Return the default of a field; of a struct, one with the defaults of its own fields."""
    return field.struct() if field.struct is not None else field.default


def untagged_runs(cls: type[Struct], version: int) -> Iterator[tuple[bool, list[tuple[str, Field]]]]:
    """Yield the version's untagged fields in order, those of fixed width that follow each other together."""
    present = [(name, field) for name, field in cls.FIELDS.items() if field.is_in(version) and field.tag is None]
    for is_fixed, group in groupby(present, lambda item: item[1].kind in STRUCT_FORMATS):
        yield is_fixed, list(group)


def tagged_fields(cls: type[Struct], version: int) -> list[tuple[str, Field]]:
    """Return the version's tagged fields by tag."""
    found = [(name, field) for name, field in cls.FIELDS.items() if field.is_in(version) and field.tag is not None]
    return sorted(found, key=lambda item: item[1].tag or 0)


def layout_of(fields: list[tuple[str, Field]]) -> struct.Struct:
    """Return the struct that fields of fixed width are together."""
    return struct.Struct(">" + "".join(STRUCT_FORMATS[field.kind] for _, field in fields))
