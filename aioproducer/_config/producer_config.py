"""ProducerConfig: the settings of one producer, checked and made complete."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Unpack, cast

from aioproducer._config.declared import SETTINGS, DeclaredSettings, Setting
from aioproducer._config.rules import Findings, apply_rules
from aioproducer._config.showing import concealed
from aioproducer._config.signature import SettingsSignature
from aioproducer._public import public_in
from aioproducer.errors import ConfigurationError

# What reads files and the environment, and what knows other clients' names, is imported by the functions that need it:
# most producers are made from arguments, without a mistake, and importing them would take 2 ms more.

if TYPE_CHECKING:
    from aioproducer._config.sources import Translation
    from aioproducer._config.typed import ProducerSettings


@public_in("aioproducer")
@dataclass(frozen=True, slots=True, init=False, repr=False)
class ProducerConfig(DeclaredSettings):
    """The settings of a producer: immutable, complete and consistent; an attribute for each (docs/settings.md).

    Attributes:
        warnings: sentences about settings that are legal but surprising; the Producer logs each once.
        notes: sentences about what followed from the settings given; the Producer logs them for information.

    Example:
        >>> ProducerConfig(bootstrap_servers="localhost:9092", linger_ms=20).linger_ms
        20
    """

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    _given: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)  # what `replace` begins with
    _source_notes: tuple[str, ...] = field(default=(), compare=False)

    __signature__: ClassVar[SettingsSignature] = SettingsSignature(is_complete=True)

    def __init__(self, **settings: Unpack[ProducerSettings]) -> None:
        """Check the settings and add the defaults.

        Raises:
            ConfigurationError: names or values are wrong, or contradict each other; tells of all of them.
        """
        # A traceback with locals shows this frame, as those below: what may be secret has to be gone by then.
        given = concealed(settings)
        del settings
        try:
            self._fill(given, _explain_unknown(given), text_is_parsed=False)
        finally:
            del given

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **settings: Unpack[ProducerSettings]) -> ProducerConfig:
        """Make a configuration from names as Kafka writes them ("linger.ms"), with values of their type or as text.

        librdkafka's and aiokafka's names for the same settings are understood too.

        Args:
            config: names and values.
            settings: settings that can't be written in `config`, such as serializers; they win over it.

        Raises:
            ConfigurationError: as the constructor.

        Example:
            >>> ProducerConfig.from_config({"bootstrap.servers": "localhost:9092", "linger.ms": "20"}).linger_ms
            20
        """
        from aioproducer._config.sources import translate

        try:
            return cls._of(translate(concealed(config)), concealed(settings))
        finally:
            del config, settings

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **settings: Unpack[ProducerSettings]) -> ProducerConfig:
        """Make a configuration from a file: .properties (Java's form), .conf and .config (librdkafka's), .toml, .env.

        What stands in such files for others (consumers, a schema registry, the Java virtual machine) is left out, with
        one note.

        Raises:
            ConfigurationError: as from_config, or the file is malformed.
            OSError: the file cannot be read.
        """
        from aioproducer._config.files import read_file
        from aioproducer._config.sources import translate

        found = read_file(path)
        found.settings = concealed(found.settings)
        try:
            return cls._of(translate(found.settings, file=found), concealed(settings))
        finally:
            del settings

    @classmethod
    def from_env(
        cls, prefix: str, environment: Mapping[str, str] | None = None, /, **settings: Unpack[ProducerSettings]
    ) -> ProducerConfig:
        """Make a configuration from environment variables; nothing else here reads any.

        Args:
            prefix: of the variables, as "ORDERS_KAFKA_" in ORDERS_KAFKA_LINGER_MS. All that begin with it must be
                settings, those excepted that Kubernetes makes of a Service's name.
            environment: instead of os.environ.
            settings: they win over the environment.

        Raises:
            ConfigurationError: as from_config.
        """
        from aioproducer._config.sources import read_environment, translate

        try:
            translation = translate(concealed(read_environment(prefix, environment)), prefix=prefix)
            return cls._of(translation, concealed(settings))
        finally:
            del environment, settings

    @classmethod
    def _of(cls, translation: Translation, settings: Mapping[str, Any]) -> ProducerConfig:
        self = cls.__new__(cls)
        problems = [*translation.problems, *_explain_unknown(settings)]
        try:
            self._fill({**translation.settings, **settings}, problems, translation.notes, text_is_parsed=True)
        finally:
            del settings
        return self

    def replace(self, **settings: Unpack[ProducerSettings]) -> ProducerConfig:
        """Return a configuration that differs in some settings; what was never given follows from them anew.

        Args:
            settings: as for the constructor; None takes one back to its default.

        Raises:
            ConfigurationError: as the constructor.

        Example:
            >>> config = ProducerConfig(bootstrap_servers="localhost:9092", linger_ms=20)
            >>> config.replace(linger_ms=0).linger_ms
            0
        """
        changed = ProducerConfig.__new__(ProducerConfig)
        kept = {name: value for name, value in self._given.items() if name not in settings}
        problems = _explain_unknown(settings)
        try:
            changed._fill(concealed(settings), problems, self._source_notes, text_is_parsed=False, kept=kept)
        finally:
            del settings, kept
        return changed

    __replace__ = replace  # copy.replace of Python 3.13

    def describe(self) -> dict[str, str]:
        """Return the settings in force, by name, as texts fit for a log: no secrets, objects by their type."""
        return {name: shown(declaration, getattr(self, name)) for name, declaration in SETTINGS.items()}

    def __repr__(self) -> str:
        if not hasattr(self, "bootstrap_servers"):  # in a traceback with locals, of settings that were refused
            return "ProducerConfig(refused)"
        changed = [
            f"{name}={shown(declaration, getattr(self, name))}"
            for name, declaration in SETTINGS.items()
            if declaration.required or getattr(self, name) != declaration.default
        ]
        return f"ProducerConfig({', '.join(changed)})"

    def _fill(
        self,
        settings: dict[str, Any],
        problems: list[str],
        notes: Sequence[str] = (),
        *,
        text_is_parsed: bool,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        settings = {name: value for name, value in settings.items() if value is not None}  # None: it is not set
        values: dict[str, Any] = {} if kept is None else dict(kept)
        given = (frozenset(settings) | values.keys()) & SETTINGS.keys()
        broken: set[str] = set()
        for name, declaration in SETTINGS.items():
            if name in values:
                continue
            try:
                values[name] = _value(declaration, settings, text_is_parsed)
            except ValueError as error:
                problems.append(f"{name} {error}")
                values[name] = declaration.default
                broken.add(name)
        as_given = {name: values[name] for name in given}  # the rules change values
        found = Findings(values, given, problems)
        found.notes.extend(notes)
        apply_rules(found, broken)
        if found.problems:
            del settings, values, kept, as_given  # what is no setting, or stands in the wrong one, may be a credential
            raise ConfigurationError(found.problems)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "warnings", tuple(found.warnings))
        object.__setattr__(self, "notes", tuple(found.notes))
        object.__setattr__(self, "_given", as_given)
        object.__setattr__(self, "_source_notes", tuple(notes))


def _explain_unknown(settings: Iterable[str]) -> list[str]:
    unknown = [name for name in settings if name not in SETTINGS]
    if not unknown:
        return []
    from aioproducer._config.names import explain_unknown

    return [explain_unknown(name) for name in unknown]


def _value(declaration: Setting, settings: Mapping[str, Any], text_is_parsed: bool) -> Any:
    if declaration.name not in settings:
        if declaration.required:
            raise ValueError("is missing; name at least one broker as host:port")
        return declaration.default
    value = settings[declaration.name]
    if text_is_parsed and isinstance(value, str):
        # A password is taken as it stands: Java keeps white space at its end, too.
        return declaration.kind.text(value if declaration.secret else value.strip())
    return declaration.kind.native(value)


def shown(declaration: Setting, value: object) -> str:
    """Return the value of a setting as a text for logs."""
    if declaration.secret and value is not None:
        return "[hidden]"
    if declaration.name == "bootstrap_servers" and value:
        servers = cast("tuple[tuple[str, int], ...]", value)
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in servers)
    if declaration.name == "acks" and value == -1:
        return "all"
    if isinstance(value, tuple) and all(isinstance(item, str) for item in cast("tuple[object, ...]", value)):
        return f"[{', '.join(cast('tuple[str, ...]', value))}]"
    if isinstance(value, tuple):
        return f"[{', '.join(type(item).__name__ for item in cast('tuple[object, ...]', value))}]"
    if value is None or isinstance(value, str | int | float):
        return str(value)
    return getattr(value, "__qualname__", None) or type(value).__name__
