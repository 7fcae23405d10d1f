"""Do our message classes say what Kafka's schemas say?

The kafka-clients jar contains the schemas that its own message classes are generated from. Every class is compared
with its schema field by field, in the versions that are spoken here: names, order, types, versions, nullability,
tags, defaults, and whether a value may be dropped.
"""

from __future__ import annotations

import functools
import json
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest

from aioproducer._wire.fields import Field, Kind
from aioproducer.testing._real_kafka import fetch_jars
from tests.unit._wire.samples import CLASSES

if TYPE_CHECKING:
    from aioproducer._wire.schema import Message, Struct

pytestmark = pytest.mark.kafka

OUR_NAMES: Final = {"FoundCoordinator": "Coordinator", "TransactionDescription": "TransactionState"}
"""Structures whose name in the schema is that of another thing of ours, and the name that they have there."""

each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


@functools.cache
def _schema(name: str) -> Any:
    with zipfile.ZipFile(next(fetch_jars().glob("kafka-clients-*.jar"))) as jar:
        text = jar.read(f"common/message/{name}.json").decode()
    return json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))


@dataclass(frozen=True)
class Declared:
    """One field in one version, in terms that a class and a schema have in common."""

    name: str
    type: str
    is_nullable: bool
    tag: int | None
    default: object


@each_class
def test_versions_are_among_those_of_the_schema(cls: type[Message]) -> None:
    schema = _schema(cls.__name__)
    assert schema["apiKey"] == cls.api_key
    assert set(range(cls.min_version, cls.max_version + 1)) <= _versions(schema["validVersions"])
    assert cls.min_version == min(_versions(schema["validVersions"]))
    for version in range(cls.min_version, cls.max_version + 1):
        assert cls.is_flexible_in(version) == (version in _versions(schema["flexibleVersions"]))


@each_class
def test_fields_are_those_of_the_schema_in_every_version(cls: type[Message]) -> None:
    schema = _schema(cls.__name__)
    structs = {struct["name"]: struct["fields"] for struct in schema.get("commonStructs", [])}
    for version in range(cls.min_version, cls.max_version + 1):
        assert _compare(cls, schema["fields"], structs, version) > 0 or not any(
            version in _versions(field["versions"]) for field in schema["fields"]
        )


@each_class
def test_fields_have_the_defaults_of_the_schema_where_a_version_lacks_them(cls: type[Message]) -> None:
    schema = _schema(cls.__name__)
    structs = {struct["name"]: struct["fields"] for struct in schema.get("commonStructs", [])}
    _compare_absent(cls, schema["fields"], structs, cls)


def _compare(cls: type[Struct], fields: Any, structs: Any, version: int) -> int:
    """Assert that the class has these fields in this version; return how many there are, nested ones included."""
    ours = [_ours(name, field, version) for name, field in cls.FIELDS.items() if field.is_in(version)]
    present = [field for field in fields if version in _versions(field["versions"])]
    assert ours == [_theirs(field, version) for field in present], f"{cls.__name__} v{version}"
    count = len(present)
    for field in present:
        struct = _struct(cls.FIELDS[_snake_case(field["name"])])
        if struct is not None:
            type_name = field["type"].removeprefix("[]")
            assert _name_in_schema(struct) == type_name
            count += _compare(struct, field.get("fields") or structs[type_name], structs, version)
    return count


def _compare_absent(cls: type[Struct], fields: Any, structs: Any, message: type[Message]) -> None:
    versions = range(message.min_version, message.max_version + 1)
    spoken = {_snake_case(field["name"]): field for field in fields if _versions(field["versions"]) & set(versions)}
    assert list(cls.FIELDS) == list(spoken)
    for name, field in cls.FIELDS.items():
        theirs = spoken[name]
        if not all(field.is_in(version) for version in versions):
            assert _default_of(field) == _default_in(theirs), f"{cls.__name__}.{name}"
            assert field.ignorable == theirs.get("ignorable", False), f"{cls.__name__}.{name}"
        struct = _struct(field)
        if struct is not None:
            _compare_absent(struct, theirs.get("fields") or structs[_name_in_schema(struct)], structs, message)


def _struct(field: Field) -> type[Struct] | None:
    return field.element.struct if field.element is not None else field.struct


def _ours(name: str, field: Field, version: int) -> Declared:
    return Declared(name, _type_of(field), field.is_nullable_in(version), field.tag, _default_of(field))


def _type_of(field: Field) -> str:
    if field.element is not None:
        return "[]" + _type_of(field.element)
    return _name_in_schema(field.struct) if field.struct is not None else field.kind.value


def _default_of(field: Field) -> object:
    return list(field.default) if field.kind is Kind.ARRAY and field.default is not None else field.default


def _theirs(field: Any, version: int) -> Declared:
    is_tagged = version in _versions(field.get("taggedVersions", "none"))
    return Declared(
        name=_snake_case(field["name"]),
        type=field["type"],
        is_nullable=version in _versions(field.get("nullableVersions", "none")),
        tag=field["tag"] if is_tagged else None,
        default=_default_in(field),
    )


_EMPTY: Final[dict[str, object]] = {"string": "", "bytes": b"", "bool": False, "uuid": UUID(int=0), "records": None}


def _default_in(field: Any) -> object:
    kind, given = field["type"], field.get("default")
    if given == "null":
        return None
    if kind.startswith("[]"):
        return []
    if kind == "bool":
        return str(given).lower() == "true"
    if kind.startswith("int"):
        return int(str(given or 0), 0)
    return _EMPTY.get(kind, None) if given is None else given  # None for a struct: one of defaults


def _versions(text: str) -> frozenset[int]:
    """The versions of "none", "3", "2-4" or "7+", those above 100 left out."""
    if text == "none":
        return frozenset()
    first, _, last = text.removesuffix("+").partition("-")
    return frozenset(range(int(first), 100 if text.endswith("+") else int(last or first) + 1))


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _name_in_schema(struct: type[Struct]) -> str:
    return OUR_NAMES.get(struct.__name__, struct.__name__)
