"""Secret: a password, key or token that shows itself to nobody who does not ask for it by name.

`aioproducer.security` is where programs import it from; it lies here since settings, mechanisms and providers hold one.
Python cannot wipe memory: what this keeps a secret from is text, that is messages, logs, tracebacks, dumps and pickles.
"""

from __future__ import annotations

import hmac
from typing import Any, Final, NoReturn, Protocol, TypeAlias

from aioproducer._public import public_in

MASK: Final = "Secret('********')"


class HasSecretValue(Protocol):
    """A secret of pydantic's kind (SecretStr, SecretBytes)."""

    def get_secret_value(self) -> str | bytes:
        """Return what is kept secret."""
        ...


@public_in("aioproducer.security")
class Secret:
    """Text or bytes that no repr, str, format, log line, pickle or traceback shows.

    Equal to a Secret of the same bytes, compared in constant time, and to nothing else; false when empty. Immutable: a
    copy is the object itself. Pickling raises TypeError.

    Example:
        >>> password = Secret("correct horse")
        >>> print(password, bool(password), password == Secret("correct horse"))
        Secret('********') True True
        >>> password.reveal()
        'correct horse'
    """

    __slots__ = ("_value",)
    _value: bytes

    def __init__(self, value: SecretLike) -> None:
        """Keep a value.

        Args:
            value: str (kept as UTF-8), bytes, another Secret, or an object with `get_secret_value()`.

        Raises:
            TypeError: it is something else.
            ValueError: a str that has no UTF-8 form (a lone surrogate).
        """
        # The name is rebound, so that a traceback with locals does not show the argument.
        value, problem = _as_bytes(value)
        if problem is not None:
            raise problem
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """Return the text: the only way to it, besides `reveal_bytes`.

        Raises:
            ValueError: the secret was given as bytes that are not UTF-8.
        """
        try:
            return self._value.decode()
        except UnicodeDecodeError as error:
            position = error.start
        raise ValueError(f"the secret is not text: byte {position} is not UTF-8; use reveal_bytes")

    def reveal_bytes(self) -> bytes:
        """Return the bytes; of a text, its UTF-8."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return MASK

    def __format__(self, format_spec: str) -> str:
        return format(MASK, format_spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: it would be readable in what is written")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Secret cannot be changed: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Secret cannot be changed: {name}")


SecretLike: TypeAlias = str | bytes | Secret | HasSecretValue
"""What is taken where a secret is wanted."""


def _as_bytes(value: Any) -> tuple[bytes, Exception | None]:
    """Return the bytes, or what to raise; raising here would leave the value in a frame of the traceback."""
    if isinstance(value, Secret):
        return value.reveal_bytes(), None
    if not isinstance(value, str | bytes) and callable(getattr(value, "get_secret_value", None)):
        value = value.get_secret_value()
    if isinstance(value, bytes):
        return value, None
    if not isinstance(value, str):
        return b"", TypeError(f"a secret is str, bytes or Secret, not {type(value).__name__}")
    try:
        return value.encode(), None
    except UnicodeEncodeError as error:
        return b"", ValueError(f"a secret has no UTF-8 form: lone surrogate at {error.start}")
