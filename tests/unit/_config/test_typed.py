"""What type checkers see is what is declared."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import get_args, get_type_hints

import pytest

from aioproducer._config import SETTINGS, ProducerSettings
from aioproducer._config.kinds import Boolean, Choice, Integer, PartitionerKind, Servers, Text
from aioproducer._config.security_kinds import FilePath, Names, Real, SecretKind
from aioproducer._secret import SecretLike
from aioproducer.partitioners import PartitionerName

HINTS = get_type_hints(ProducerSettings)


def test_the_typed_settings_are_the_declared_ones_in_their_order() -> None:
    assert list(HINTS) == list(SETTINGS)
    assert not ProducerSettings.__required_keys__


@pytest.mark.parametrize("name", list(SETTINGS))
def test_the_type_of_each_fits_its_kind(name: str) -> None:  # noqa: C901 - one case for each kind
    kind, hint = SETTINGS[name].kind, HINTS[name]
    match kind:
        case Integer():
            assert hint is int
        case Boolean():
            assert hint is bool
        case Text():
            assert hint == (str | None if kind.may_be_empty or SETTINGS[name].default is None else str)
        case Real():
            assert hint is float
        case FilePath():
            assert hint == str | os.PathLike[str] | None
        case SecretKind():
            assert set(get_args(SecretLike)) < set(get_args(hint))
        case Names():
            assert hint == str | Sequence[str]
        case Servers():
            assert hint == str | Sequence[str]
        case Choice(none_is=None):
            assert get_args(hint) == kind.choices
        case Choice():
            words, none = get_args(hint)
            assert (get_args(words), none) == (kind.choices, type(None))
        case PartitionerKind():
            assert PartitionerName in get_args(hint)
        case _:
            assert name in {"acks", "key_serializer", "value_serializer", "interceptors"} or name.startswith("s")
