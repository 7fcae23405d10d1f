"""Settings from files and from the environment, under the names that are ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from aioproducer._config.declared import SETTINGS
from aioproducer._config.names import ALIASES, explain_unknown
from aioproducer.errors import ConfigurationError


def translate(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Bring Kafka's dotted names, and other clients' names, to ours; values in another unit are converted.

    Returns:
        The settings by our names, and a problem for each name that cannot be brought there.
    """
    translated: dict[str, Any] = {}
    problems: list[str] = []
    origin: dict[str, str] = {}
    for given, value in _with_level_by_codec(settings).items():
        if not isinstance(cast("object", given), str):
            problems.append(f"a setting's name is a {type(given).__name__}; it must be a str")
            continue
        name, value = _ours(given, value)
        if name not in SETTINGS:
            problems.append(explain_unknown(name, given))
        elif name in origin:
            problems.append(f"{name} is given twice, as {origin[name]} and as {given}; keep one")
        else:
            translated[name], origin[name] = value, given
    return translated, problems


def _ours(given: str, value: Any) -> tuple[str, Any]:
    name = given.strip().replace(".", "_")
    alias = ALIASES.get(name)
    if alias is None:
        return name, value
    return alias.name, value if alias.convert is None else alias.convert(value)


def _with_level_by_codec(settings: Mapping[str, Any]) -> dict[str, Any]:
    # librdkafka has one level for all codecs, -1 for the codec's own: it belongs to the codec that is chosen.
    result = dict(settings)
    level = result.pop("compression.level", result.pop("compression_level", None))
    codec = next(
        (result[n] for n in ("compression.type", "compression_type", "compression.codec") if n in result), None
    )
    if level is not None and str(level).strip() != "-1" and codec in {"gzip", "lz4", "zstd"}:
        result[f"compression_{codec}_level"] = level
    return result


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a file of settings: .toml, or .properties as Java has them. Names are returned as they stand there.

    Raises:
        ConfigurationError: the file is not of that form, or its name ends otherwise.
        OSError: it cannot be read.
    """
    # Here and not at the top: with what they load in turn they are 10 ms of importing the producer.
    import tomllib
    from pathlib import Path

    file = Path(path)
    if file.suffix == ".toml":
        try:
            return dict(_flat(tomllib.loads(file.read_text("utf-8"))))
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{file.name} is not TOML: {error}") from None
    if file.suffix == ".properties":
        return parse_properties(file.read_text("utf-8"))
    raise ConfigurationError(f"{file.name} ends in {file.suffix!r}; settings are read from .properties and .toml files")


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    # `linger.ms = 5` is a table `linger` with an `ms` to TOML.
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(cast("dict[str, Any]", value), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_PROPERTY: Final = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(text: str) -> dict[str, str]:
    r"""Parse Java's .properties: `name=value`, `name: value` or `name value`, comments with # and !, \ at the end to
    go on.

    Example:
        >>> parse_properties("# brokers\nbootstrap.servers = a:9092,\\\n    b:9092")
        {'bootstrap.servers': 'a:9092,b:9092'}
    """
    properties: dict[str, str] = {}
    for line in _logical_lines(text):
        match = _PROPERTY.match(line)
        assert match is not None  # every part of the pattern may be empty
        properties[_unescape(match[1])] = _unescape(match[2])
    return properties


def _logical_lines(text: str) -> Iterator[str]:
    pending: str | None = None
    for natural in _LINE_END.split(text):
        line = natural.lstrip(" \t\f")
        if pending is None and (not line or line[0] in "#!"):
            continue
        line = (pending or "") + line
        backslashes = len(line) - len(line.rstrip("\\"))
        pending = line[:-1] if backslashes % 2 else None
        if pending is None:
            yield line
    if pending:
        yield pending


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPED.get(m[2], m[2]), text)


def read_environment(prefix: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables that begin with the prefix, by the rest of their name in lower case.

    Args:
        prefix: "ORDERS_KAFKA_" finds ORDERS_KAFKA_BOOTSTRAP_SERVERS. Everything that begins with it must be a setting.
        environment: instead of os.environ.

    Raises:
        ConfigurationError: the prefix is empty.
    """
    if not prefix:
        raise ConfigurationError(
            'the prefix of environment variables is empty; give one of your own, such as "ORDERS_KAFKA_"'
        )
    variables = os.environ if environment is None else environment
    return {name.removeprefix(prefix).lower(): value for name, value in variables.items() if name.startswith(prefix)}
