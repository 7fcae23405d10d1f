"""The source of a decoder, and what the code calls.

Names in the generated code: b is the buffer, p the position in it, n its length, k the size just read, e where what is
read ends, m the message.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from aioproducer._wire.codegen.source import Source, layout_of, tagged_fields, untagged_runs
from aioproducer._wire.fields import STRUCT_FORMATS, Field, Kind
from aioproducer._wire.primitives import ZERO_UUID, decode_uvarint, skip_tagged_fields
from aioproducer.errors import ProtocolError

if TYPE_CHECKING:
    from aioproducer._wire.schema import Struct

_SHORT_ARRAYS: Final = 17
"""Arrays of int32 below this length (replicas, in-sync replicas) have a ready struct each."""


class DecoderSource(Source):
    """Writes a decoder. What is short raises IndexError or struct.error, or is seen by a comparison with n."""

    def __init__(self, version: int, flexible: bool, *, from_bytes: bool) -> None:
        super().__init__(version, flexible=flexible, names=_NAMES)
        self._as_str = "b[p:e].decode()" if from_bytes else "str(b[p:e], 'utf-8')"

    def struct(self, cls: type[Struct], target: str) -> None:
        """Add what decodes a struct into a variable."""
        self.add(f"{target} = new({self.constant(cls.__name__, cls)})")
        for name, field in cls.FIELDS.items():
            if not field.is_in(self.version) or field.tag is not None:
                self.add(f"{target}.{name} = {self.literal(field)}")
        for is_fixed, fields in untagged_runs(cls, self.version):
            if is_fixed:
                self._fixed(fields, target)
            else:
                for name, field in fields:
                    self._sized(field, f"{target}.{name}", f"{cls.__name__}.{name}")
        if self.flexible:
            self._tagged(tagged_fields(cls, self.version), target, cls.__name__)

    def _fixed(self, fields: list[tuple[str, Field]], target: str) -> None:
        layout = layout_of(fields)
        names = [f"{target}.{name}" for name, _ in fields]
        raw = [
            self.new("u") if field.kind is Kind.UUID else name for name, (_, field) in zip(names, fields, strict=True)
        ]
        self.add(f"({', '.join(raw)},) = {self.constant('unpack', layout.unpack_from)}(b, p)", f"p += {layout.size}")
        for name, value, (_, field) in zip(names, raw, fields, strict=True):
            if field.kind is Kind.UUID:
                self.add(f"{name} = as_uuid({value})")

    def _sized(self, field: Field, target: str, what: str) -> None:
        if field.struct is not None:
            variable = self.new("s")
            self.struct(field.struct, variable)
            self.add(f"{target} = {variable}")
            return
        self._size(field)
        with self.block("if k < 0:"):
            if field.is_nullable_in(self.version):
                self.add(f"if k < -1: raise bad_size('{what}', k)", f"{target} = None")
            else:
                self.add(f"raise bad_size('{what}', k)")
        with self.block("else:"):
            self._content(field, target, what)

    def _size(self, field: Field) -> None:
        """Reads the length into k; −1 is null."""
        if self.flexible:
            self.add("k = b[p]", "if k < 128:", "    p += 1", "else:", "    k, p = decode_uvarint(b, p)", "k -= 1")
        elif field.kind is Kind.STRING:
            self.add("(k,) = unpack_int16(b, p)", "p += 2")
        else:
            self.add("(k,) = unpack_int32(b, p)", "p += 4")

    def _content(self, field: Field, target: str, what: str) -> None:
        if field.element is not None:
            self._array(field.element, target, what)
            return
        value = {Kind.STRING: self._as_str, Kind.BYTES: "bytes(b[p:e])", Kind.RECORDS: "b[p:e]"}[field.kind]
        self.add("e = p + k", f"if e > n: raise too_long('{what}', k, n - p)", f"{target} = {value}", "p = e")

    def _array(self, element: Field, target: str, what: str) -> None:
        size = _least_size(element, self.version, self.flexible)
        self.add(f"if k * {size} > n - p: raise too_long('{what}', k, n - p)")
        if element.kind in STRUCT_FORMATS:
            self._numbers(element, target)
            return
        values, item = self.new("a"), self.new("t")
        self.add(f"{target} = {values} = []")
        with self.block("for _ in range(k):"):
            if element.struct is not None:
                self.struct(element.struct, item)
            else:
                self._sized(element, item, what)
            self.add(f"{values}.append({item})")

    def _numbers(self, element: Field, target: str) -> None:
        letter = STRUCT_FORMATS[element.kind]
        general = f"unpack_from(f'>{{k}}{letter}', b, p)"
        if element.kind is Kind.INT32:
            general = f"INT32_ARRAYS[k](b, p) if k < {_SHORT_ARRAYS} else {general}"
        self.add(f"{target} = list({general})", f"p += k * {struct.calcsize('>' + letter)}")

    def _tagged(self, fields: list[tuple[str, Field]], target: str, what: str) -> None:
        if not fields:
            self.add("if b[p]: p = skip_tagged_fields(b, p)", "else: p += 1")
            return
        end, tag = self.new("e"), self.new("g")
        with self.block("if b[p]:"):
            self.add("k, p = decode_uvarint(b, p)")
            with self.block("for _ in range(k):"):
                self.add(f"{tag}, p = decode_uvarint(b, p)", "k, p = decode_uvarint(b, p)", f"{end} = p + k")
                self.add(f"if {end} > n: raise too_long('{what}', k, n - p)")
                keyword = "if"
                for name, field in fields:
                    with self.block(f"{keyword} {tag} == {field.tag}:"):
                        if field.kind in STRUCT_FORMATS:
                            self._fixed([(name, field)], target)
                        else:
                            self._sized(field, f"{target}.{name}", f"{what}.{name}")
                    keyword = "elif"
                self.add(f"else: p = {end}", f"if p != {end}: raise bad_tag('{what}', {tag})")
        self.add("else: p += 1")


def _least_size(field: Field, version: int, flexible: bool) -> int:
    """The fewest bytes that a value of the field can take."""
    if field.kind in STRUCT_FORMATS:
        return struct.calcsize(">" + STRUCT_FORMATS[field.kind])
    if field.struct is not None:
        present = [field for field in field.struct.FIELDS.values() if field.is_in(version) and field.tag is None]
        return sum(_least_size(field, version, flexible) for field in present) + flexible
    if flexible:
        return 1
    return 2 if field.kind is Kind.STRING else 4


# ── what the generated code calls ────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=1024)  # making a UUID takes 1 µs, and it is always the same few: the ids of topics
def _as_uuid(value: bytes) -> UUID:
    return UUID(bytes=value) if any(value) else ZERO_UUID


def _bad_size(what: str, size: int) -> ProtocolError:
    if size == -1:
        return ProtocolError(f"{what} is null, which this version does not allow")
    return ProtocolError(f"{what} has a size of {size}")


def _too_long(what: str, size: int, left: int) -> ProtocolError:
    return ProtocolError(f"{what} claims {size:,} bytes or elements where {left:,} bytes are left")


def _bad_tag(what: str, tag: int) -> ProtocolError:
    return ProtocolError(f"the tagged field {tag} of {what} does not have the size that it claims")


_NAMES: Final[dict[str, Any]] = {
    "new": object.__new__,
    "as_uuid": _as_uuid,
    "bad_size": _bad_size,
    "bad_tag": _bad_tag,
    "decode_uvarint": decode_uvarint,
    "INT32_ARRAYS": tuple(struct.Struct(f">{count}i").unpack_from for count in range(_SHORT_ARRAYS)),
    "skip_tagged_fields": skip_tagged_fields,
    "too_long": _too_long,
    "unpack_from": struct.unpack_from,
    "unpack_int16": struct.Struct(">h").unpack_from,
    "unpack_int32": struct.Struct(">i").unpack_from,
}
