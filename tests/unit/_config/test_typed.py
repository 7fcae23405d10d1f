"""What type checkers see is what is declared."""

from __future__ import annotations

import ast
import inspect
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import get_args, get_type_hints

import pytest

from aioproducer._config import SETTINGS, ProducerSettings, typed
from aioproducer._config.kinds import Boolean, Choice, Integer, PartitionerKind, Servers, Text
from aioproducer._config.security_kinds import FilePath, Names, Real, SecretKind
from aioproducer._secret import SecretLike
from aioproducer.partitioners import PartitionerName

HINTS = get_type_hints(ProducerSettings)


def test_the_typed_settings_are_the_declared_ones_in_their_order() -> None:
    serializers = ["key_serializer", "value_serializer"]  # parameters of their own in the constructor
    assert list(HINTS) == [*(name for name in SETTINGS if name not in serializers), *serializers]
    assert not ProducerSettings.__required_keys__


def test_what_editors_show_of_a_setting_is_its_text() -> None:
    shown: dict[str, str] = {}
    tree = ast.parse(inspect.getsource(typed))
    for declared in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, text in pairwise(declared.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as words)):
                    shown[name] = " ".join(words.split())
                case _:
                    pass
    assert shown == {name: " ".join(setting.text.split()) for name, setting in SETTINGS.items()}


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
