"""The kinds of values that only settings of TLS and SASL have; see `kinds`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from aioproducer._config.showing import NotText
from aioproducer._secret import Secret

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI", "AWS_MSK_IAM")
TLS_VERSIONS: Final = ("TLSv1.2", "TLSv1.3")


class SecretKind:
    """A secret, or a callable that gives it each time it is needed if `may_be_asked`; None: there is none."""

    __slots__ = ("may_be_asked",)

    def __init__(self, *, may_be_asked: bool = False) -> None:
        self.may_be_asked = may_be_asked

    @property
    def label(self) -> str:
        """The forms in words."""
        asked = ", a callable that returns one (async or not)" if self.may_be_asked else ""
        return f"str, bytes, Secret{asked}, or None"

    def native(self, value: object) -> Any:
        """Keep it as a Secret."""
        if value is None or (self.may_be_asked and callable(value)):
            return value
        if isinstance(value, NotText):
            raise ValueError(f"cannot be sent: {value.problem}")
        try:
            return Secret(cast("Any", value)) or None
        except (TypeError, ValueError):
            kind = type(value).__name__
        del value  # a traceback with locals would show it
        raise ValueError(f"is a {kind}; it must be {self.label}")

    def text(self, value: str) -> Any:
        """Keep it as a Secret; an empty one is none."""
        return Secret(value) if value else None


class FilePath:
    """The path of a file, or None."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The type in words."""
        return "path (str or os.PathLike), or None"

    def native(self, value: object) -> str | None:
        """Check a path."""
        if value is None:
            return None
        if not isinstance(value, str | os.PathLike):
            raise ValueError(f"is a {type(value).__name__}; it must be a path")
        path = os.fspath(cast("str | os.PathLike[str]", value))
        if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError("is a path of bytes; it must be one of str")
        return self.text(path)

    def text(self, value: str) -> str | None:
        """Take a path; the words that a PEM begins with are another setting's."""
        if "-----BEGIN" in value:
            raise ValueError("has the content of a file; it must be its path, or give the setting for content")
        return value or None


class Names:
    """A list of names: a sequence, or one text with commas (or colons) between them."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The form in words."""
        return "sequence of str, or one with commas"

    def native(self, value: object) -> tuple[str, ...]:
        """Check a sequence."""
        if isinstance(value, str):
            return self.text(value)
        if value is None:
            return ()
        if not isinstance(value, Sequence):
            raise ValueError(f"is a {type(value).__name__}; it must be a {self.label}")
        names = tuple(cast("Sequence[object]", value))
        if not all(isinstance(name, str) for name in names):
            raise ValueError("has what is no str")
        return cast("tuple[str, ...]", names)

    def text(self, value: str) -> tuple[str, ...]:
        """Take a list apart."""
        return tuple(name.strip() for name in re.split("[,:]", value.strip("[]")) if name.strip())


class TlsVersions(Names):
    """Which versions of TLS are spoken: adjacent ones."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The names in words."""
        return "some of " + ", ".join(TLS_VERSIONS)

    def native(self, value: object) -> tuple[str, ...]:
        """Check a sequence."""
        return self._checked(super().native(value))

    def text(self, value: str) -> tuple[str, ...]:
        """Take a list apart."""
        return self._checked(super().text(value))

    def _checked(self, names: tuple[str, ...]) -> tuple[str, ...]:
        old = [name for name in names if re.fullmatch(r"SSLv[23]|TLSv1(\.[01])?", name)]
        if old:
            raise ValueError(f"has {', '.join(old)}, which are broken; leave them out, or make an ssl_context")
        if not names or not set(names) <= set(TLS_VERSIONS):
            raise ValueError(f"must be {self.label}")
        return tuple(version for version in TLS_VERSIONS if version in names)


class EndpointAlgorithm:
    """What the broker's certificate has to be for: "https", the host name; or "", nothing."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The words."""
        return '"https", or "" (also "none", False) for no check'

    def native(self, value: object) -> str:
        """Check a word, or kafka-python's bool."""
        if isinstance(value, bool):
            return "https" if value else ""
        if value is None:
            return "https"
        if not isinstance(value, str):
            raise ValueError(f"is a {type(value).__name__}; it must be {self.label}")
        return self.text(value)

    def text(self, value: str) -> str:
        """Read a word, of Java's, librdkafka's or kafka-python's."""
        word = value.strip().lower()
        if word in {"https", "true"}:
            return "https"
        if word in {"", "none", "false"}:
            return ""
        raise ValueError(f"must be {self.label}")


class Mechanism:
    """A SASL mechanism, or None."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The names."""
        return "one of " + ", ".join(MECHANISMS) + ", or None"

    def native(self, value: object) -> str | None:
        """Check a name; a sequence with one is taken, as other clients have several."""
        if value is None:
            return None
        if isinstance(value, list | tuple):
            names = cast("Sequence[object]", value)
            value = names[0] if len(names) == 1 else names
        if not isinstance(value, str):
            raise ValueError(f"is a {type(value).__name__}; it must be {self.label}")
        return self.text(value)

    def text(self, value: str) -> str | None:
        """Check a name."""
        if value in MECHANISMS or not value:
            return value or None
        from difflib import get_close_matches  # 1 ms that only a mistake should cost

        plain = {re.sub("[^A-Z0-9]", "", mechanism): mechanism for mechanism in MECHANISMS}
        close = get_close_matches(re.sub("[^A-Z0-9]", "", value.upper()), plain, n=1, cutoff=0.6)
        meant = f"; did you mean {plain[close[0]]}?" if close else ""
        raise ValueError(f"is none that Kafka has; it must be {self.label}{meant}")


class Extensions:
    """Names and values that are sent with a token."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The forms in words."""
        return 'mapping of str to str, "name=value,name=value", or None'

    def native(self, value: object) -> dict[str, str] | None:
        """Check a mapping."""
        if isinstance(value, str):
            return self.text(value)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ValueError(f"is a {type(value).__name__}; it must be a {self.label}")
        found = dict(cast("Mapping[object, object]", value))
        if not all(isinstance(part, str) for pair in found.items() for part in pair):
            raise ValueError("has what is no str")
        return cast("dict[str, str]", found)

    def text(self, value: str) -> dict[str, str]:
        """Take a list apart."""
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        if not all(sign for _, sign, _ in pairs):
            raise ValueError("must be name=value,name=value")
        return {name.strip(): text.strip() for name, _, text in pairs}


class Real:
    """A number in a range, with a fraction."""

    __slots__ = ("maximum", "minimum")

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum = minimum
        self.maximum = maximum

    @property
    def label(self) -> str:
        """The range in words."""
        return f"float, {self.minimum} to {self.maximum}"

    def native(self, value: object) -> float:
        """Check a number."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"is a {type(value).__name__}; it must be a {self.label}")
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"is {value}; it must be from {self.minimum} to {self.maximum}")
        return float(value)

    def text(self, value: str) -> float:
        """Read a number."""
        if not re.fullmatch(r"[0-9]{0,9}\.?[0-9]{0,9}", value) or not value.strip("."):
            raise ValueError(f"must be a {self.label}")
        return self.native(float(value))


class SslContextKind:
    """An ssl.SSLContext for clients, a callable that gives one, or None."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The forms in words."""
        return "ssl.SSLContext, a callable that returns one (async or not), or None"

    def native(self, value: object) -> Any:
        """Check what it is, without loading ssl for those who have none."""
        if value is None or callable(value):
            return value
        import ssl

        if not isinstance(value, ssl.SSLContext):
            raise ValueError(f"is a {type(value).__name__}; it must be an {self.label}")
        if value.protocol == ssl.PROTOCOL_TLS_SERVER:
            raise ValueError("is a context for servers; make it with ssl.create_default_context()")
        return value

    def text(self, value: str) -> Any:
        """Take nothing."""
        raise ValueError("cannot be named in text; give an object from Python")


class TokenProviderKind:
    """What gives tokens, or None."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The forms in words."""
        return "callable that returns a token (async or not), object with token(), or None"

    def native(self, value: object) -> Any:
        """Check that it can be called."""
        if value is None:
            return None
        if isinstance(value, type):
            raise ValueError("is a class; give an instance")
        if not callable(value) and not callable(getattr(value, "token", None)):
            raise ValueError(f"is a {type(value).__name__}; it must be a {self.label}")
        return value

    def text(self, value: str) -> Any:
        """Take nothing."""
        raise ValueError("cannot be named in text; give an object from Python")
