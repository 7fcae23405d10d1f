"""What stands in a file of settings: names and values as they are there; what they mean is found out elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from aioproducer._config.names import shown_name
from aioproducer.errors import ConfigurationError


@dataclass(slots=True)
class Found:
    """What was read.

    Attributes:
        name: of the file, without its folder.
        settings: by name.
        lines: in which line each stands, as far as that is known.
        notes: sentences about what is odd and no mistake.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    lines: dict[str, int] = field(default_factory=dict[str, int], repr=False)
    notes: list[str] = field(default_factory=list[str])

    def add(self, name: str, value: str, line: int) -> None:
        """Take one more; of a name that is there twice the last one counts, as with Java."""
        if name in self.settings:
            self.notes.append(
                f"{self.name} has {shown_name(name)} twice, in lines {self.lines[name]} and {line}; the last one counts"
            )
        self.settings[name], self.lines[name] = value, line


_WAYS_OUT: Final = {
    ".ini": "read it with configparser, and give a section to from_config",
    ".cfg": "read it with configparser, and give a section to from_config",
    ".json": "read it with json, and give the object to from_config",
    ".yaml": "read it with a YAML library, and give the mapping to from_config",
    ".yml": "read it with a YAML library, and give the mapping to from_config",
}


def read_file(path: str | os.PathLike[str]) -> Found:
    """Read a file of settings, by the rules that the end of its name stands for: .properties as Java, .conf and .config
    as librdkafka's programs, .toml, and .env as variables of the environment.

    Raises:
        ConfigurationError: the file is not of that form, or its name ends otherwise.
        OSError: it cannot be read.
    """
    # Here and not at the top: with what it loads in turn it is 10 ms of importing the producer.
    from pathlib import Path

    file = Path(path)
    suffix = (file.suffix or file.name).lower()
    found = Found(file.name)
    read = _READERS.get(suffix)
    if read is None:
        way_out = _WAYS_OUT.get(suffix, "settings are read from .properties, .conf, .config, .toml and .env files")
        raise ConfigurationError(f"{file.name} ends in {suffix!r}; {way_out}")
    problems: tuple[str, ...] = ()
    try:
        read(_decoded(file.read_bytes(), found), found)
    except ConfigurationError as error:
        problems = error.problems
    if problems:  # raised anew, as the frames of what reads have the whole text, which a traceback with locals shows
        raise ConfigurationError(problems)
    return found


def _decoded(data: bytes, found: Found) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    found.notes.append(f"{found.name} is not UTF-8 (line {line}), and read as ISO 8859-1, as Java does")
    return data.decode("iso-8859-1")


def _read_toml(text: str, found: Found) -> None:
    import tomllib

    problem = ""
    try:
        found.settings.update(_flat(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        problem = str(error)
    if problem:  # out here, as the error holds the whole document
        where = re.search(r"\(at .*\)$", problem)
        raise ConfigurationError(f"{found.name} is not TOML {where[0] if where else ''}".rstrip())


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    # `linger.ms = 5` is a table `linger` with an `ms` to TOML.
    for name, value in table.items():
        if isinstance(value, dict) and f"{prefix}{name}".replace(".", "_") != "sasl_oauthbearer_extensions":
            yield from _flat(cast("dict[str, Any]", value), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _read_plain(text: str, found: Found) -> None:
    """name=value, as librdkafka's programs read it: nothing is escaped, # at the start of a line begins a comment."""
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        _check_line(content, number, found)
        name, sign, value = content.partition("=")
        if not sign:
            raise ConfigurationError(f"{found.name}, line {number}: name=value is expected")
        found.add(name.strip(), value.strip(), number)


def _read_env(text: str, found: Found) -> None:
    """NAME=value, quotes taken off, as shells and containers read it. A prefix KAFKA_ of all names is taken off."""
    pairs: list[tuple[str, str, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip().removeprefix("export ").strip()
        if not content or content.startswith("#"):
            continue
        name, sign, value = content.partition("=")
        if not sign:
            raise ConfigurationError(f"{found.name}, line {number}: NAME=value is expected")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        pairs.append((name.strip().lower(), value, number))
    prefix = "kafka_" if pairs and all(name.startswith("kafka_") for name, _, _ in pairs) else ""
    for name, value, number in pairs:
        found.add(name.removeprefix(prefix), value, number)


def _check_line(content: str, number: int, found: Found) -> None:
    if re.fullmatch(r"\[[^\]]*\]", content):
        raise ConfigurationError(f"{found.name}, line {number}: a section; this is an INI file: {_WAYS_OUT['.ini']}")
    if content in {"{", "[", "---"}:
        raise ConfigurationError(f"{found.name}, line {number}: this is JSON or YAML; give the mapping to from_config")


# ── Java's form ──────────────────────────────────────────────────────────────────────────────────────────────────────

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_PROPERTY: Final = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_MALFORMED: Final = re.compile(r"(?:^|[^\\])(?:\\\\)*\\u(?![0-9A-Fa-f]{4})")
_ESCAPED: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(text: str) -> dict[str, str]:
    r"""Parse Java's .properties: `name=value`, `name: value` or `name value`, comments with # and !, \ at the end to
    go on.

    Example:
        >>> parse_properties("# brokers\nbootstrap.servers = a:9092,\\\n    b:9092")
        {'bootstrap.servers': 'a:9092,b:9092'}
    """
    found = Found("the text")
    _read_properties(text, found)
    return found.settings


def _read_properties(text: str, found: Found) -> None:
    for number, line in _logical_lines(text):
        _check_line(line.strip(), number, found)
        match = _PROPERTY.match(line)
        assert match is not None  # every part of the pattern may be empty
        if _MALFORMED.search(line):
            raise ConfigurationError(
                f"{found.name}, line {number}: \\u without four hexadecimal digits; a backslash is written as two"
            )
        found.add(_unescape(match[1]), _unescape(match[2]), number)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    pending: str | None = None
    began = 0
    for number, natural in enumerate(_LINE_END.split(text), 1):
        line = natural.lstrip(" \t\f")
        if pending is None and (not line or line[0] in "#!"):
            continue
        began = number if pending is None else began
        line = (pending or "") + line
        backslashes = len(line) - len(line.rstrip("\\"))
        pending = line[:-1] if backslashes % 2 else None
        if pending is None:
            yield began, line
    if pending:
        yield began, pending


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPED.get(m[2], m[2]), text)


_READERS: Final = {
    ".properties": _read_properties,
    ".conf": _read_plain,
    ".config": _read_plain,
    ".toml": _read_toml,
    ".env": _read_env,
}
