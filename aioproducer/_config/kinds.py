"""Kinds of settings: what checks a value and turns it into the type that the producer works with.

Each kind has `native`, for a value given from Python, and `text`, for one from a file or the environment, which is
stripped and read as Java reads it. Both return the value or raise ValueError with the rest of a sentence that begins
with the name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

from aioproducer._config.bootstrap import parse_bootstrap_servers
from aioproducer._config.showing import shown_text
from aioproducer._types import is_coroutine_function
from aioproducer.errors import ConfigurationError
from aioproducer.partitioners import PARTITIONERS
from aioproducer.serializers import utf8

INT16_MAX: Final = 2**15 - 1
INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1

# The kinds are plain classes: as nine frozen dataclasses they took 4 ms of importing the producer, now 0.4.


class Kind(Protocol):
    """What a setting takes. The implementations below say in their own docstrings which values those are."""

    @property
    def label(self) -> str:
        """Type and range as docs/settings.md has them, and refusals of a value: "int, 0 to 9"."""
        ...

    def native(self, value: object) -> Any:
        """Return a value given from Python as the producer keeps it.

        Raises:
            ValueError: it is none; the text goes on after the setting's name: "is -1; it must be from 0 to 9".
        """
        ...

    def text(self, value: str) -> Any:
        """Return what a text from a file or the environment stands for, read as Java reads it; raises as `native`."""
        ...


class Integer:
    """A whole number in a range, or `also`, one value outside of it."""

    __slots__ = ("also", "maximum", "minimum")

    def __init__(self, minimum: int = 0, maximum: int = INT32_MAX, also: int | None = None) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.also = also

    @property
    def label(self) -> str:
        also = "" if self.also is None else f", or {self.also}"
        if self.minimum < -INT64_MAX:
            return f"int{also}"
        if self.maximum in {INT32_MAX, INT64_MAX}:
            return f"int, at least {self.minimum}{also}"
        return f"int, {self.minimum} to {self.maximum}{also}"

    def native(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"is {_shown(value)}; it must be an int")
        if not self.minimum <= value <= self.maximum and value != self.also:
            also = "" if self.also is None else f", or {self.also}"
            raise ValueError(f"is {value}; it must be from {self.minimum} to {self.maximum}{also}")
        return value

    def text(self, value: str) -> int:
        """Read a decimal number."""
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", value):
            raise ValueError(f"is {shown_text(value)}; it must be a whole number")
        return self.native(int(value))


class Boolean:
    """True or False, and no number; as text true or false, in any case."""

    __slots__ = ()

    @property
    def label(self) -> str:
        return "bool"

    def native(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"is {_shown(value)}; it must be True or False")
        return value

    def text(self, value: str) -> bool:
        """Read true or false, in any case."""
        if value.lower() not in {"true", "false"}:
            raise ValueError(f"is {shown_text(value)}; it must be true or false")
        return value.lower() == "true"


class Choice:
    """One of a few words, in any case if it `folds_case`; None from Python stands for `none_is`."""

    __slots__ = ("choices", "folds_case", "none_is")

    def __init__(self, choices: tuple[str, ...], *, folds_case: bool = False, none_is: str | None = None) -> None:
        self.choices = choices
        self.folds_case = folds_case
        self.none_is = none_is

    @property
    def label(self) -> str:
        return "one of " + ", ".join(self.choices)

    def native(self, value: object) -> str:
        if value is None and self.none_is is not None:
            return self.none_is
        if not isinstance(value, str):
            raise ValueError(f"is {_shown(value)}; it must be {self.label}")
        return self.text(value)

    def text(self, value: str) -> str:
        for choice in self.choices:
            if value == choice or (self.folds_case and value.lower() == choice.lower()):
                return choice
        raise ValueError(f"is {shown_text(value)}; it must be {self.label}")


class Text:
    """Any str, or None; a text as it is."""

    __slots__ = ("may_be_empty",)

    def __init__(self, *, may_be_empty: bool = True) -> None:
        self.may_be_empty = may_be_empty

    @property
    def label(self) -> str:
        return "str or None" if self.may_be_empty else "str, not empty, or None"

    def native(self, value: object) -> str | None:
        if value is not None and not isinstance(value, str):
            raise ValueError(f"is {_shown(value)}; it must be a str")
        if value == "" and not self.may_be_empty:
            raise ValueError("is empty; name something, or leave it out")
        if value is not None and len(value.encode("utf-8", "surrogatepass")) > INT16_MAX:
            raise ValueError(f"has more than {INT16_MAX:,} bytes, the most that a text has in Kafka's protocol")
        return value

    def text(self, value: str) -> str | None:
        return self.native(value)


class Acks:
    """How many replicas acknowledge: all (-1), 1 (the leader), 0 (nobody)."""

    __slots__ = ()

    @property
    def label(self) -> str:
        return '"all", 1, 0 or -1 (the same as "all")'

    def native(self, value: object) -> int:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int) and not isinstance(value, bool) and value in {-1, 0, 1}:
            return value
        raise ValueError(f"is {_shown(value)}; it must be {self.label}")

    def text(self, value: str) -> int:
        number = {"all": -1, "-1": -1, "0": 0, "1": 1}.get(value)
        if number is None:
            raise ValueError(f"is {shown_text(value)}; it must be {self.label}")
        return number


class Servers:
    """Addresses to begin with, "host:port": a str with commas between them, or a sequence; kept as pairs."""

    __slots__ = ()

    @property
    def label(self) -> str:
        return '"host:port,host:port" or a sequence of "host:port"'

    def native(self, value: object) -> tuple[tuple[str, int], ...]:
        if not isinstance(value, str | Sequence):
            raise ValueError(f"is {_shown(value)}; it must be {self.label}")
        try:
            return parse_bootstrap_servers(cast("str | Sequence[str]", value))
        except ConfigurationError as error:
            raise ValueError(
                "; ".join(problem.removeprefix("bootstrap_servers ") for problem in error.problems)
            ) from None

    def text(self, value: str) -> tuple[tuple[str, int], ...]:
        return self.native(value)


class SerializerKind:
    """A serializer, or None for bytes as they are."""

    __slots__ = ()

    @property
    def label(self) -> str:
        return "callable `(value) -> bytes`, object with `serialize`, or None"

    def native(self, value: object) -> Any:
        _refuse_coroutine_function(value)
        _refuse_coroutine_function(getattr(value, "serialize", None), "serialize")
        if value is None or (callable(value) and not isinstance(value, type)):
            return value
        if callable(getattr(value, "serialize", None)) and not isinstance(value, type):
            return value
        wrong = "a class; give an instance or a function" if isinstance(value, type) else _shown(value)
        raise ValueError(f"is {wrong}; it must be a callable, an object with serialize(topic, value, headers), or None")

    def text(self, value: str) -> Any:
        """Take the two classes of Java that have an equivalent here."""
        simple = value.rpartition(".")[2]
        if simple == "StringSerializer":
            return utf8
        if simple == "ByteArraySerializer":
            return None
        raise ValueError(f"is {shown_text(value)}; a class cannot be named in text, give a callable from Python")


class PartitionerKind:
    """A partitioner by name, a callable, or None for the built-in one."""

    __slots__ = ()

    @property
    def label(self) -> str:
        return "None, a callable, or one of " + ", ".join(PARTITIONERS)

    def native(self, value: object) -> Any:
        if isinstance(value, str):
            return self.text(value)
        _refuse_coroutine_function(value)
        if value is None or (callable(value) and not isinstance(value, type)):
            return value
        wrong = "a class; give an instance" if isinstance(value, type) else _shown(value)
        raise ValueError(f"is {wrong}; it must be {self.label}")

    def text(self, value: str) -> str | None:
        """Check a name; Java's class name stands for it too, and those of old ones for the built-in one."""
        if value in PARTITIONERS:
            return value
        simple = value.rpartition(".")[2]
        if simple == "RoundRobinPartitioner":
            return "round_robin"
        if not value or simple in {"DefaultPartitioner", "UniformStickyPartitioner"}:
            return None
        raise ValueError(f"is {shown_text(value)}; it must be {self.label}")


class Interceptors:
    """A sequence of objects that have all that a ProducerInterceptor has; never a text, which would name classes."""

    __slots__ = ()

    @property
    def label(self) -> str:
        return "sequence of ProducerInterceptor"

    def native(self, value: object) -> tuple[Any, ...]:
        """Check that each has what an interceptor has."""
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise ValueError(f"is {_shown(value)}; it must be a sequence of interceptors")
        given = tuple(cast("Sequence[object]", value))
        for interceptor in given:
            missing = [name for name in ("on_send", "on_acknowledgement", "close") if not hasattr(interceptor, name)]
            if missing or isinstance(interceptor, type):
                raise ValueError(
                    f"has {_shown(interceptor)}; it must be an instance with on_send, on_acknowledgement, close"
                )
            for name in ("on_send", "on_acknowledgement", "close"):
                _refuse_coroutine_function(getattr(interceptor, name), f"{name} of {type(interceptor).__name__}")
        return given

    def text(self, value: str) -> tuple[Any, ...]:
        if value:
            raise ValueError(f"is {shown_text(value)}; a class cannot be named in text, give objects from Python")
        return ()


def _refuse_coroutine_function(value: object, what: str | None = None) -> None:
    if is_coroutine_function(value):
        where = "is" if what is None else f"has {what}, which is"
        raise ValueError(f"{where} a coroutine function; it must be a plain one, as nothing would await it")


def _shown(value: object) -> str:
    # Only what cannot be a secret is shown; anything else by its type.
    return repr(value) if isinstance(value, int | float | bool) or value is None else f"a {type(value).__name__}"
