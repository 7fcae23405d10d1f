"""What of a value may be in a message: not what may be a credential that came to the wrong place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from aioproducer._secret import Secret

_SECRET: Final = re.compile(r"passw|secret|passphrase|jaas|ssl[._](keystore[._])?key([._]pem)?$", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[\w.+,:/\[\]-]{0,60}", re.ASCII)


def shown_text(value: str) -> str:
    """Return a text as a message may have it: as it is when it is short and plain, else by its length.

    A whole file in one line, or a password behind a colon that is not ASCII, is neither.
    """
    if _PLAIN.fullmatch(value):
        return repr(value)
    return f"a text of {len(value)} characters{_hint(value)}"


class NotText:
    """In place of a secret that is no text: it says what is wrong with it, and does not have it."""

    __slots__ = ("problem",)

    def __init__(self, problem: str) -> None:
        self.problem = problem


def concealed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy whose texts are Secrets where the name says that they are: error trackers show locals."""
    return {name: _secret(value) if _is_secret(name, value) else value for name, value in settings.items()}


def _secret(value: str) -> Secret | NotText:
    try:
        return Secret(value)
    except ValueError as error:
        problem = str(error)
    # Such as a variable of the environment that is not UTF-8.
    return NotText(problem)


def _is_secret(name: object, value: object) -> bool:
    return isinstance(value, str) and isinstance(name, str) and _SECRET.search(name) is not None


def _hint(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return " in quotes, which belong to the value there (take them off)"
    if " #" in value:
        return " with # in it (a comment has to stand in a line of its own)"
    if "=" in value and " " in value:
        return " with blanks and = in it (each setting stands in a line of its own)"
    if re.search(r"<[^>]*>|\$\{|\{\{", value):
        return " with a placeholder in it that nothing was put in for"
    return ""
