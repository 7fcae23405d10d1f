"""The source of an encoder, and what the code calls.

Names in the generated code: m is the message, put appends a part of the encoding, k is the size of record batches and
chunks are their parts.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from aioproducer._wire.codegen.source import Source, layout_of, tagged_fields, untagged_runs
from aioproducer._wire.fields import STRUCT_FORMATS, Field, Kind
from aioproducer._wire.primitives import encode_compact_string, encode_string, encode_uvarint, records_chunks
from aioproducer.errors import UnsupportedVersionError

if TYPE_CHECKING:
    from aioproducer._wire.schema import Struct


class EncoderSource(Source):
    """Writes an encoder."""

    def __init__(self, version: int, flexible: bool) -> None:
        super().__init__(version, flexible=flexible, names=_NAMES)

    def struct(self, cls: type[Struct], source: str, put: str) -> None:
        """Add what encodes the struct in a variable, by calls of `put`."""
        for name, field in cls.FIELDS.items():
            if not field.is_in(self.version) and not field.ignorable:
                error = f"not_in('{cls.__name__}', '{name}', {self.version})"
                self.add(f"if {self._differs(field, f'{source}.{name}')}: raise {error}")
        for is_fixed, fields in untagged_runs(cls, self.version):
            if is_fixed:
                self._fixed(fields, source, put)
            else:
                for name, field in fields:
                    self._sized(field, f"{source}.{name}", put)
        if self.flexible:
            self._tagged(tagged_fields(cls, self.version), source, put)

    def _differs(self, field: Field, value: str) -> str:
        """The condition that a value is not the default."""
        if field.struct is not None:
            inner = [self._differs(part, f"{value}.{name}") for name, part in field.struct.FIELDS.items()]
            return "(" + " or ".join(inner) + ")"
        if field.kind is Kind.ARRAY:
            return f"{value} is not None" if field.default is None else f"({value} is None or len({value}))"
        if field.kind in (Kind.RECORDS, Kind.BYTES):
            return f"{value} is not {self.literal(field)}" if field.default is None else f"len({value})"
        return f"{value} != {self.literal(field)}"

    def _fixed(self, fields: list[tuple[str, Field]], source: str, put: str) -> None:
        values = [f"{source}.{name}" + (".bytes" if field.kind is Kind.UUID else "") for name, field in fields]
        self.add(f"{put}({self.constant('pack', layout_of(fields).pack)}({', '.join(values)}))")

    def _sized(self, field: Field, source: str, put: str) -> None:
        if field.struct is not None:
            variable = self.new("s")
            self.add(f"{variable} = {source}")
            self.struct(field.struct, variable, put)
            return
        variable = self.new("v")
        self.add(f"{variable} = {source}")
        if not field.is_nullable_in(self.version):
            self._content(field, variable, put)
            return
        with self.block(f"if {variable} is None:"):
            null = b"\0" if self.flexible else b"\xff\xff" if field.kind is Kind.STRING else b"\xff\xff\xff\xff"
            self.add(f"{put}({null!r})")
        with self.block("else:"):
            self._content(field, variable, put)

    def _content(self, field: Field, variable: str, put: str) -> None:
        if field.kind is Kind.STRING:
            self.add(f"{put}({'encode_compact_string' if self.flexible else 'encode_string'}({variable}))")
        elif field.element is not None:
            self._array(field.element, variable, put)
        elif field.kind is Kind.RECORDS:
            self.add(
                f"k, chunks = records_chunks({variable})", f"{put}({self._size('k')})", f"for c in chunks: {put}(c)"
            )
        else:
            self.add(f"{put}({self._size(f'len({variable})')})", f"{put}({variable})")

    def _size(self, size: str) -> str:
        return f"encode_uvarint({size} + 1)" if self.flexible else f"pack_int32({size})"

    def _array(self, element: Field, variable: str, put: str) -> None:
        self.add(f"{put}({self._size(f'len({variable})')})")
        if element.kind in STRUCT_FORMATS:
            self.add(f"{put}(pack_values(f'>{{len({variable})}}{STRUCT_FORMATS[element.kind]}', *{variable}))")
            return
        item = self.new("t")
        with self.block(f"for {item} in {variable}:"):
            if element.struct is not None:
                self.struct(element.struct, item, put)
            else:
                self._content(element, item, put)

    def _tagged(self, fields: list[tuple[str, Field]], source: str, put: str) -> None:
        if not fields:
            self.add(f"{put}(b'\\0')")
            return
        flags = [self.new("f") for _ in fields]
        for flag, (name, field) in zip(flags, fields, strict=True):
            self.add(f"{flag} = bool({self._differs(field, f'{source}.{name}')})")
        self.add(f"{put}(encode_uvarint({' + '.join(flags)}))")
        for flag, (name, field) in zip(flags, fields, strict=True):
            with self.block(f"if {flag}:"):
                parts, inner = self.new("w"), self.new("put")
                self.add(f"{parts} = []", f"{inner} = {parts}.append")
                if field.kind in STRUCT_FORMATS:
                    self._fixed([(name, field)], source, inner)
                else:
                    self._sized(field, f"{source}.{name}", inner)
                self.add(f"{parts} = b''.join({parts})")
                self.add(f"{put}({encode_uvarint(field.tag or 0)!r} + encode_uvarint(len({parts})))", f"{put}({parts})")


# ── what the generated code calls ────────────────────────────────────────────────────────────────────────────────────


def _not_in(what: str, name: str, version: int) -> UnsupportedVersionError:
    return UnsupportedVersionError(
        f"{what} has no {name} in version {version}, so the value given would be lost; it takes a newer broker"
    )


_NAMES: Final[dict[str, Any]] = {
    "encode_compact_string": encode_compact_string,
    "encode_string": encode_string,
    "encode_uvarint": encode_uvarint,
    "not_in": _not_in,
    "pack_int32": struct.Struct(">i").pack,
    "pack_values": struct.pack,
    "records_chunks": records_chunks,
}
