from __future__ import annotations

from uuid import UUID

from aioproducer._wire.fields import Field, Kind, array, int32, int64, string
from aioproducer._wire.schema import Struct, uuid


class Item(Struct):
    """Something to have arrays of."""

    number: int = int32()


class Holder(Struct):
    """One field of most sorts."""

    offset: int = int64(since=2, until=4, default=-1)
    name: str | None = string(nullable_since=3, default=None)
    items: list[Item] = array(Item, since=1, tag=5, ignorable=True)
    numbers: list[int] = array(int32)
    texts: list[str] | None = array(string, nullable_since=0, default=None)
    id: UUID = uuid()


def test_declarations_are_taken_out_of_the_class() -> None:
    assert list(Holder.FIELDS) == ["offset", "name", "items", "numbers", "texts", "id"]
    assert Holder.__slots__ == tuple(Holder.FIELDS)  # type: ignore[attr-defined]  # made by the metaclass
    assert not isinstance(Holder.__dict__["offset"], Field)


def test_a_field_is_in_the_versions_from_since_to_until() -> None:
    assert [version for version in range(8) if Holder.FIELDS["offset"].is_in(version)] == [2, 3, 4]
    assert all(Holder.FIELDS["name"].is_in(version) for version in (0, 100))


def test_a_field_is_nullable_from_the_version_that_says_so() -> None:
    assert [version for version in range(6) if Holder.FIELDS["name"].is_nullable_in(version)] == [3, 4, 5]
    assert not Holder.FIELDS["numbers"].is_nullable_in(100)


def test_an_array_knows_its_elements() -> None:
    items, numbers, texts = (Holder.FIELDS[name].element for name in ("items", "numbers", "texts"))
    assert items == Field(Kind.STRUCT, struct=Item)
    assert numbers == Field(Kind.INT32, default=0)
    assert texts == Field(Kind.STRING, default="")


def test_tags_and_leave_to_ignore_are_kept() -> None:
    assert (Holder.FIELDS["items"].tag, Holder.FIELDS["items"].ignorable) == (5, True)
    assert (Holder.FIELDS["numbers"].tag, Holder.FIELDS["numbers"].ignorable) == (None, False)


def test_a_value_left_out_is_the_default() -> None:
    holder = Holder()
    assert (holder.offset, holder.name, holder.items, holder.numbers, holder.texts) == (-1, None, [], [], None)
    assert holder.id == UUID(int=0)
