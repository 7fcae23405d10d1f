"""What was refused is told without a secret in it: not in words, attributes, causes, or a traceback with locals."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aioproducer import ConfigurationError, Producer, ProducerConfig

HIDDEN = "sEcReT-vAlUe-99"
SASL = "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n"
BASE = "bootstrap.servers=broker:9093\n"
JAAS = "org.apache.kafka.common.security.plain.PlainLoginModule required"
LOGIN = {"bootstrap_servers": "broker:1", "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}
OAUTH = {
    "sasl_mechanism": "OAUTHBEARER",
    "sasl_oauthbearer_client_credentials_client_id": "orders",
    "sasl_oauthbearer_client_credentials_client_secret": HIDDEN,
}

FILES: list[tuple[str, str, str]] = [
    ("all.properties", f'bootstrap.servers=a:1 sasl.jaas.config={JAAS} username="u" password="{HIDDEN}";', "own"),
    ("all.conf", f"bootstrap.servers=a:1 sasl.password={HIDDEN}", "line of its own"),
    ("wide.properties", f"{BASE}sasl.password\uff1a{HIDDEN}\n", "line 2"),
    ("wide-and-equals.properties", f"{BASE}sasl.password\uff1a{HIDDEN}=x\n", "line 2"),
    ("wide.conf", f"{BASE}sasl.password\uff1a{HIDDEN}==\n", "line 2"),
    ("no-sign.conf", f"{BASE}{HIDDEN}\n", "line 2"),
    ("escape.properties", f"{BASE}sasl.password={HIDDEN}\\u12\n", "line 2"),
    ("open.toml", f"'sasl.password' = '{HIDDEN}\n", "not TOML"),
    ("continued.properties", f'{BASE}sasl.jaas.config={JAAS}\n  username="u"\n  password="{HIDDEN}";\n', "line 4"),
    (
        "odd.properties",
        f"{BASE}{SASL}sasl.jaas.config={JAAS} username=u password={HIDDEN}+;\n",
        "quote the value",
    ),
    ("mistyped.properties", f"{BASE}sasl.pasword={HIDDEN}\nssl.key.passwort={HIDDEN}\n", "sasl_password"),
    ("line.properties", f'{{"sasl.password": "{HIDDEN}"}}', "line 1"),
    (".env", f"export KAFKA_LINGER_MS=5\nKAFKA_SASL_PASWORD={HIDDEN}", "sasl_password"),
    ("a.env", f"KAFKA_LINGER_MS=5\n{HIDDEN}", "line 2"),
]

MADE: list[tuple[dict[str, Any], str]] = [
    ({"bootstrap_servers": f"sasl://u:{HIDDEN}@broker:9092"}, "credentials"),
    ({"bootstrap_servers": f"Endpoint=sb://a.example/;SharedAccessKeyName=b;SharedAccessKey={HIDDEN}"}, "host:port"),
    ({**LOGIN, "sasl_username": "u", "sasl_password": f"{HIDDEN}\udce4"}, "surrogate"),
    ({**LOGIN, "sasl_username": "u", "sasl_password": [HIDDEN]}, "is a list"),
    ({**LOGIN, "sasl_username": "u", "sasl_password": f"{HIDDEN}\0"}, "NUL"),
    ({**LOGIN, "sasl_plain_password": HIDDEN}, "aiokafka's name"),
    ({**LOGIN, "sasl_pasword": HIDDEN}, "did you mean sasl_password"),
    ({**LOGIN, "acks": f"all sasl.password={HIDDEN}"}, "acks"),
    ({**LOGIN, "sasl_mechanism": HIDDEN}, "sasl_mechanism"),
    ({**LOGIN, "sasl_oauthbearer_extensions": HIDDEN}, "name=value"),
    ({**LOGIN, **OAUTH, "sasl_oauthbearer_token_endpoint_url": f"ftp://u:{HIDDEN}@login/x"}, "not an address"),
    ({**LOGIN, "sasl_login_callback_handler_class": HIDDEN}, "counterpart"),
]


def check(make: Callable[[], object], words: str) -> None:
    # Not pytest.raises: this frame and the one of `make` have the secret, and are left out below.
    try:
        made = make()
    except ConfigurationError as caught:
        error = caught
    else:
        raise AssertionError(f"{made!r} was not refused")
    assert words in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert HIDDEN not in f"{error.args} {vars(error)} {error!r}"
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [frame for frame in frames if frame.filename != __file__]
    assert ours
    assert not [(frame.name, frame.locals) for frame in ours if HIDDEN in str(frame.locals)]


@pytest.mark.parametrize("cls", [Producer, ProducerConfig])
@pytest.mark.parametrize(("name", "content", "words"), FILES, ids=[name for name, _, _ in FILES])
def test_a_file_that_is_refused_tells_nothing_of_what_is_in_it(
    cls: type[Producer[Any, Any]] | type[ProducerConfig], name: str, content: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    check(lambda: cls.from_file(tmp_path / name), words)


@pytest.mark.parametrize(("name", "sign"), [("a.properties", "="), ("a.conf", "="), (".env", "="), ("a.toml", "=")])
def test_bytes_that_are_no_utf_8_are_in_no_error(name: str, sign: str, tmp_path: Path) -> None:
    quote = '"' if name.endswith("toml") else ""
    lines = [f"{quote}sasl.password{quote}{sign}{quote}{HIDDEN}\xe4{quote}", f"no_setting{sign}1"]
    (tmp_path / name).write_bytes("\n".join(lines).encode("iso-8859-1"))
    check(lambda: ProducerConfig.from_file(tmp_path / name), "no_setting")


@pytest.mark.parametrize(("settings", "words"), MADE, ids=[words for _, words in MADE])
def test_arguments_that_are_refused_are_told_without_their_values(settings: dict[str, Any], words: str) -> None:
    for cls in (Producer, ProducerConfig):
        check(partial(cls, **settings), words)
        check(partial(cls.from_config, settings), "" if words == "aiokafka's name" else words)


def test_variables_that_are_refused_are_told_without_their_values() -> None:
    wrong = {
        "K_BOOTSTRAP_SERVERS": "broker:1",
        "K_SASL_PASSWORD": f"{HIDDEN}\udce4",
        "K_SSL_KEY_PASSWORT": HIDDEN,
        "K_LINGER_MS": f"5 {HIDDEN}",
    }
    check(lambda: ProducerConfig.from_env("K_", wrong), "K_SSL_KEY_PASSWORT")


def test_variables_of_the_process_are_not_shown_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_K_SASL_PASWORD", HIDDEN)
    check(lambda: Producer.from_env("ORDERS_K_"), "did you mean sasl_password")
