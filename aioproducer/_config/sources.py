"""Settings from files, mappings and the environment: how their names become ours, what is said of those that do not."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aioproducer._config.declared import SETTINGS
from aioproducer._config.kinds import INT32_MAX
from aioproducer._config.names import ALIASES, FOREIGN, explain_unknown, is_left_out, shown_name
from aioproducer.errors import ConfigurationError

if TYPE_CHECKING:
    from aioproducer._config.files import Found


@dataclass(slots=True)
class Translation:
    """Settings by our names.

    Attributes:
        settings: names and values.
        problems: a sentence for each name that is none of ours and can't be brought there.
        notes: sentences about what was done or left out on the way.
        is_msk: a class of Amazon's was named that logs in with IAM.
    """

    settings: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    problems: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    is_msk: bool = False


def translate(settings: Mapping[str, Any], *, file: Found | None = None, prefix: str = "") -> Translation:
    """Bring Kafka's dotted names, and other clients' names, to ours; values in another unit are converted.

    Args:
        settings: names as they stand there; a value of None counts as not given.
        file: where they are from, in which others' settings are no mistake.
        prefix: of the environment variables that they are from.
    """
    result = Translation(notes=[] if file is None else list(file.notes))
    names = _Names(result, file, prefix)
    for given, value in settings.items():
        if not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            result.problems.append(f"a setting's name is a {type(given).__name__}; it must be a str")
        elif value is not None:
            names.take(given, value)
    names.end()
    if result.is_msk and result.settings.get("sasl_mechanism", "OAUTHBEARER") == "OAUTHBEARER":
        # As OAUTHBEARER, sasl.jaas.config has nothing but the name of a class in it.
        result.settings["sasl_mechanism"] = "AWS_MSK_IAM"
        result.settings.pop("sasl_jaas_config", None)
    _level_by_codec(result)
    _librdkafka_timeout(result, names.origin)
    return result


class _Names:
    """One name after the other, and what is told once about several."""

    def __init__(self, result: Translation, file: Found | None, prefix: str) -> None:
        self._result = result
        self._file = file
        self._prefix = prefix
        self._left_out: list[str] = []
        self._foreign: dict[str, list[str]] = {}
        self.origin: dict[str, str] = {}

    def take(self, given: str, value: Any) -> None:
        """Put a setting where it belongs."""
        name = given.strip().replace(".", "_")
        if name in HANDLERS:
            self._result.problems.extend(HANDLERS[name](value, self._result))
            return
        alias = ALIASES.get(name)
        if alias is not None:
            name, value = alias.name, value if alias.convert is None else alias.convert(value)
        if name in SETTINGS or name == _LEVEL:
            self._put(name, given, value)
        elif self._file is not None and is_left_out(name):
            self._left_out.append(shown_name(given))
        else:
            self._refuse(name, given)

    def _put(self, name: str, given: str, value: Any) -> None:
        before = self.origin.get(name)
        if before is None or before == "socket.timeout.ms":  # with librdkafka two things; the request's own counts
            self._result.settings[name], self.origin[name] = value, given
        elif given != "socket.timeout.ms" and self._result.settings[name] != value:
            self._result.problems.append(
                f"{name} is given twice, as {self._shown(before)} and as {self._shown(given)}; keep one"
            )

    def _refuse(self, name: str, given: str) -> None:
        for begin, whose in FOREIGN:
            if not self._prefix and name.replace("-", "_").startswith(begin):
                self._foreign.setdefault(whose, []).append(given)
                return
        self._result.problems.append(explain_unknown(name, self._shown(given)))

    def end(self) -> None:
        """Tell what is told once."""
        for whose, names in self._foreign.items():
            begin = ".".join(names[0].split(".")[: 2 if names[0].startswith("spring.") else 1])
            self._result.problems.append(
                f"{shown_name(begin)}: {len(names)} names with this prefix are {whose}; take the prefix off, and leave"
                " out what is not a producer's"
            )
        if self._left_out and self._file is not None:
            self._result.notes.append(
                f"{self._file.name}: left out, as they are for consumers, a schema registry, the Java virtual machine"
                f" or brokers: {', '.join(sorted(self._left_out))}"
            )

    def _shown(self, given: str) -> str:
        if self._prefix:
            return shown_name(f"{self._prefix}{given.upper()}")
        if self._file is not None and given in self._file.lines:
            return f"{shown_name(given)} ({self._file.name}, line {self._file.lines[given]})"
        return shown_name(given)


_LEVEL: Final = "compression_level"
"""librdkafka's level for all codecs; taken until it is known which codec is used."""


def _level_by_codec(result: Translation) -> None:
    # librdkafka has one level for all codecs, -1 for the codec's own: it belongs to the codec that is chosen.
    level = result.settings.pop(_LEVEL, None)
    codec = str(result.settings.get("compression_type", "none")).strip()
    if level is None or str(level).strip() == "-1":
        return
    if codec in {"gzip", "lz4", "zstd"}:
        result.settings[f"compression_{codec}_level"] = level
    else:
        result.notes.append(f"compression.level has no effect with compression_type={codec}")


def _librdkafka_timeout(result: Translation, origin: Mapping[str, str]) -> None:
    """message.timeout.ms has no lower bound there: a request then gets less time. 0 is no end."""
    if origin.get("delivery_timeout_ms", "").replace(".", "_") != "message_timeout_ms":
        return
    given = str(result.settings["delivery_timeout_ms"]).strip()
    if not given.isdecimal():
        return
    if int(given) == 0:
        result.settings["delivery_timeout_ms"] = INT32_MAX
        result.notes.append(f"message.timeout.ms=0 is no end with librdkafka; delivery_timeout_ms is {INT32_MAX}")
        return
    linger = str(result.settings.get("linger_ms", SETTINGS["linger_ms"].default)).strip()
    request = SETTINGS["request_timeout_ms"].default
    if "request_timeout_ms" in result.settings or not linger.isdecimal() or int(given) >= int(linger) + request:
        return
    result.settings["request_timeout_ms"] = max(1, int(given) - int(linger))
    result.notes.append(
        f"request_timeout_ms is {result.settings['request_timeout_ms']}, as message.timeout.ms={given} leaves no more"
    )


# ── what names a class of Java's, and means something here ───────────────────────────────────────────────────────────


def _login_handler(value: Any, result: Translation) -> list[str]:
    name = str(value).strip()
    simple = name.rpartition(".")[2]
    if simple in {"OAuthBearerLoginCallbackHandler", "JaasClientOauthLoginCallbackHandler"}:
        return []  # what it does is built in, by the other settings
    if name.startswith("software.amazon.msk.auth.iam."):
        result.is_msk = True
        return []
    if name == "com.google.cloud.hosted.kafka.auth.GcpLoginCallbackHandler":
        from aioproducer.security._google import GoogleCloud

        result.settings["sasl_oauth_token_provider"] = GoogleCloud()
        return []
    sentence = (
        "sasl_login_callback_handler_class names a class of Java's that has no counterpart here; give"
        " sasl_oauth_token_provider or a callable as sasl_password"
    )
    return [sentence]


def _oidc(value: Any, result: Translation) -> list[str]:
    if str(value).strip().lower() in {"oidc", "default"}:
        return []
    return ["sasl_oauthbearer_method must be oidc or default"]


HANDLERS: Final = {
    "sasl_login_callback_handler_class": _login_handler,
    "sasl_client_callback_handler_class": _login_handler,
    "sasl_oauthbearer_method": _oidc,
}
"""Names whose value says what else is to be done."""


def read_environment(prefix: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables that begin with the prefix, by the rest of their name in lower case.

    Args:
        prefix: "ORDERS_KAFKA_" finds ORDERS_KAFKA_BOOTSTRAP_SERVERS. Everything that begins with it must be a setting,
            but what Kubernetes makes of a Service of that name is left out.
        environment: instead of os.environ.

    Raises:
        ConfigurationError: the prefix is empty.
    """
    if not prefix:
        raise ConfigurationError(
            'the prefix of environment variables is empty; give one of your own, such as "ORDERS_KAFKA_"'
        )
    variables = os.environ if environment is None else environment
    return {
        rest.lower(): value
        for name, value in variables.items()
        if name.startswith(prefix) and not _OF_KUBERNETES.fullmatch(rest := name.removeprefix(prefix))
    }


_OF_KUBERNETES: Final = re.compile(
    r"PORT|SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_ADDR|_PORT|_PROTO)?"
)
"""The rest of the variables that a pod has for each Service, after its name: KAFKA_PORT_9092_TCP_ADDR."""
