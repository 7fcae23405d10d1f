"""The setting `sasl.jaas.config`, which holds Java's clients' credentials: its grammar, as Apache Kafka 4.3 reads it.

`class flag (name=value)* ;`, exactly one. Names and values are words, or in quotes with Java's escapes; comments as in
Java. The whole is a secret: errors give a position and quote nothing, since what looks like a name may be the rest of a
value that should have been in quotes. What the login modules mean is in `_jaas_modules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from aioproducer._secret import Secret, SecretLike
from aioproducer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FLAGS: Final = frozenset({"required", "requisite", "sufficient", "optional"})
"""Which of them is given makes no difference to a client with one login module."""

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}
_OCTAL: Final = "01234567"
_FIRST_LETTER_BEYOND_ASCII: Final = "\u00a0"


class Kind(Enum):
    """What a token of the grammar is."""

    WORD = "a word"
    QUOTED = "a quoted text"
    SIGN = "a sign"
    END = "the end"


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A piece of the text. Words and quoted texts may be values, so their text is a Secret.

    Attributes:
        kind: what it is.
        text: a word, a quoted text without quotes, or one sign.
        position: of its first character, from 1 on.
    """

    kind: Kind
    text: Secret
    position: int

    def is_sign(self, sign: str) -> bool:
        """Return whether it is a sign, such as "="."""
        return self.kind is Kind.SIGN and self.text == Secret(sign)

    @property
    def is_text(self) -> bool:
        """Whether it can be a name or value."""
        return self.kind in (Kind.WORD, Kind.QUOTED)


@dataclass(frozen=True, slots=True)
class JaasEntry:
    """What a JAAS configuration says.

    Attributes:
        login_module: the Java class.
        options: by name; of a name that is given twice the last one, as in Java.
    """

    login_module: str
    options: Mapping[str, Secret]


def parse_jaas(config: SecretLike) -> JaasEntry:
    """Read a JAAS configuration.

    Raises:
        ConfigurationError: it is not of the form `class flag name=value … ;`.

    Example:
        >>> entry = parse_jaas('org.example.PlainLoginModule required username="alice" password="alice-password";')
        >>> entry.login_module, entry.options
        ('org.example.PlainLoginModule', mappingproxy({'username': Secret('********'), 'password': Secret('********')}))
    """
    config = Secret(config)  # the argument is not to be seen in a traceback
    lexemes = _lexemes(config)
    module = _module(next(lexemes))
    _flag(next(lexemes))
    options: dict[Secret, Secret] = {}
    lexeme = next(lexemes)
    while not lexeme.is_sign(";"):
        name = _text(lexeme, "an option or the semicolon at the end is missing")
        _equals(next(lexemes))
        options[name] = _text(next(lexemes), "the value of an option is missing")
        lexeme = next(lexemes)
    last = next(lexemes)
    if last.kind is not Kind.END:
        raise _error(last, "there is more after the semicolon: one login module is expected")
    return JaasEntry(module.reveal(), MappingProxyType({name.reveal(): value for name, value in options.items()}))


def _module(lexeme: Lexeme) -> Secret:
    module = _text(lexeme, "the class of a login module is missing")
    if not module:
        raise _error(lexeme, "the class of a login module is empty")
    return module


def _flag(lexeme: Lexeme) -> None:
    if lexeme.is_sign("{"):
        raise _error(
            lexeme, "this is the form of a JAAS file; leave out the name and the braces: class required name=value;"
        )
    if not lexeme.is_text or lexeme.text.reveal().lower() not in FLAGS:
        raise _error(lexeme, "required, requisite, sufficient or optional is missing after the class")


def _equals(lexeme: Lexeme) -> None:
    if not lexeme.is_sign("="):
        raise _error(lexeme, 'an = after the name of an option is missing; quote the value before it: name="value"')


def _text(lexeme: Lexeme, problem: str) -> Secret:
    if not lexeme.is_text:
        hint = "" if lexeme.kind is Kind.END else '; quote the value: name="value"'
        raise _error(lexeme, problem + hint)
    return lexeme.text


def _error(lexeme: Lexeme, problem: str) -> ConfigurationError:
    where = "at the end" if lexeme.kind is Kind.END else f"at character {lexeme.position}"
    return ConfigurationError(f"sasl.jaas.config, {where}: {problem}")


def _lexemes(config: Secret) -> Iterator[Lexeme]:
    """Yield the pieces, and then the end for ever; as Java's StreamTokenizer finds them."""
    scanner = _Scanner(config)
    while True:
        yield scanner.next()


class _Scanner:
    """Where the reading is. No local variable here holds more of the text than one character."""

    def __init__(self, config: Secret) -> None:
        self._config = config
        self._length = len(config.reveal())
        self._at = 0

    def next(self) -> Lexeme:
        self._pass_over_silence()
        start = self._at
        character = self._peek()
        if not character:
            return Lexeme(Kind.END, Secret(""), start + 1)
        if character in "\"'":
            return Lexeme(Kind.QUOTED, self._quoted(), start + 1)
        if _begins_word(character):
            while self._peek() and _continues_word(self._peek()):
                self._at += 1
            return Lexeme(Kind.WORD, Secret(self._config.reveal()[start : self._at]), start + 1)
        # Numbers come out as single signs, and so fail where a value is wanted, as in Java.
        self._at += 1
        return Lexeme(Kind.SIGN, Secret(character), start + 1)

    def _peek(self, ahead: int = 0) -> str:
        return self._config.reveal()[self._at + ahead : self._at + ahead + 1]

    def _pass_over_silence(self) -> None:
        while self._peek():
            if self._peek() <= " ":
                self._at += 1
            elif self._peek() != "/":
                return
            elif self._peek(1) == "*":
                end = self._config.reveal().find("*/", self._at + 2)
                self._at = self._length if end < 0 else end + 2
            else:
                # Java's reader takes a single slash for a comment, too, whatever follows it: even the end of the line.
                self._at += 2
                self._pass_over_line()

    def _pass_over_line(self) -> None:
        while self._peek() not in ("", "\n", "\r"):
            self._at += 1

    def _quoted(self) -> Secret:
        quote, start = self._peek(), self._at + 1
        self._at += 1
        characters: list[Secret] = []
        while self._peek() != quote:
            if self._peek() in ("", "\n", "\r"):
                raise ConfigurationError(f"sasl.jaas.config, at character {start}: no closing {quote} in the same line")
            characters.append(Secret(self._escaped() if self._peek() == "\\" else self._take()))
        self._at += 1
        return Secret(b"".join(character.reveal_bytes() for character in characters))

    def _take(self) -> str:
        self._at += 1
        return self._peek(-1)

    def _escaped(self) -> str:
        self._at += 1
        if not self._peek():
            return ""  # the text ends: `_quoted` says so
        character = self._take()
        if character not in _OCTAL:
            return _ESCAPES.get(character, character)
        digits = 1
        while digits < (3 if character <= "3" else 2) and self._peek() and self._peek() in _OCTAL:
            digits += 1
            self._at += 1
        return chr(int(self._config.reveal()[self._at - digits : self._at], 8))


def _begins_word(character: str) -> bool:
    is_letter = character.isascii() and character.isalpha()
    return is_letter or character in "_$" or character >= _FIRST_LETTER_BEYOND_ASCII


def _continues_word(character: str) -> bool:
    return _begins_word(character) or (character.isascii() and character.isdigit()) or character in ".-"
