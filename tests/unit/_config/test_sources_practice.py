"""Configurations as people have them (tests/data/configs; INDEX.toml says what each has to lead to)."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import ssl
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from aioproducer import ConfigurationError, ProducerConfig
from aioproducer._config import SETTINGS
from aioproducer._config.producer_config import shown
from aioproducer._secret import Secret
from tests.unit._net.test_tls_context import chain_of, key_of, pem, pkcs12_of
from tests.unit._net.tls_peers import certificates

FOLDER = Path(__file__).parents[2] / "data" / "configs"
INDEX: dict[str, dict[str, Any]] = {
    entry["file"]: entry for entry in tomllib.loads((FOLDER / "INDEX.toml").read_text("utf-8"))["config"]
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that stands for /example/tls/."""
    folder = tmp_path_factory.mktemp("tls")
    alice = certificates().client
    (folder / "ca.pem").write_text(pem(certificates().ca.cert_pem))
    (folder / "service.cert").write_text(chain_of(alice))
    (folder / "service.key").write_text(key_of(alice))
    for name in ("user.p12", "client.keystore.p12"):
        (folder / name).write_bytes(pkcs12_of(alice, "made-up"))
    for name in ("client.truststore.jks", "truststore.jks"):
        (folder / name).write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2")
    (folder / "kafka-client.keytab").write_bytes(b"\5\2")
    for file in folder.iterdir():
        file.chmod(0o600)
    return folder


def test_every_file_is_in_the_index() -> None:
    assert {path.name for path in FOLDER.iterdir()} - {"INDEX.toml"} == set(INDEX)


@pytest.mark.parametrize("file", INDEX)
def test_a_configuration_from_practice(
    file: str, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    entry = INDEX[file]
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in entry.get("environment", {}).items():
        monkeypatch.setenv(name, value)
    text = _filled((FOLDER / file).read_text("utf-8"), stores)
    (tmp_path / file).write_text(text, "utf-8")
    is_missing = "needs" in entry and importlib.util.find_spec(entry["needs"]) is None
    if entry["outcome"] == "refused" or is_missing:
        with pytest.raises(ConfigurationError) as caught:
            _load(entry, tmp_path / file)
        problems = caught.value.problems
        _no_secrets(entry, repr(caught.value), *map(str, problems))
        if is_missing:
            assert any(entry["needs"] in problem for problem in problems), problems
            return
        _check_refusal(entry, problems)
        return
    config = _load(entry, tmp_path / file)
    _check(entry, config, stores)


def _filled(text: str, stores: Path) -> str:
    text = text.replace("/example/tls/", f"{stores}/")
    for mark, line in (("@BEGIN_KEY@", "BEGIN PRIVATE KEY"), ("@END_KEY@", "END PRIVATE KEY")):
        text = text.replace(mark, f"-----{line}-----")
    return text


def _load(entry: dict[str, Any], path: Path) -> ProducerConfig:
    arguments = entry.get("arguments", {})
    match entry["load"]:
        case "file":
            return ProducerConfig.from_file(path, **arguments)
        case "env":
            return ProducerConfig.from_env(entry["prefix"], _variables(entry, path), **arguments)
        case "python":
            return ProducerConfig.from_config(_arguments_of(path.read_text("utf-8")), **arguments)
        case _:
            return ProducerConfig.from_config(_mapping(entry, path), **arguments)


def _document(entry: dict[str, Any], path: Path) -> Any:
    if path.suffix == ".yaml":
        document: Any = yaml.safe_load(path.read_text("utf-8"))
    elif path.suffix == ".ini":
        parser = configparser.ConfigParser()
        parser.read(path, "utf-8")
        document = {name: dict(parser[name]) for name in parser.sections()}
    else:
        lines = [line.partition("=") for line in path.read_text("utf-8").splitlines() if line.strip()]
        is_stripped = entry.get("quotes") == "stripped"
        document = {name: value.strip('"') if is_stripped else value for name, _, value in lines}
    for key in entry.get("pick", ()):
        document = document[key]
    return document


def _variables(entry: dict[str, Any], path: Path) -> dict[str, str]:
    found: Any = _document(entry, path)
    if path.suffix == ".yaml" and entry["pick"][-1] == "env":  # Kubernetes' form
        return {one["name"]: one["value"] for one in found}
    return dict(found)


def _mapping(entry: dict[str, Any], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = _document(entry, path)
    if "rename" in entry:
        found = {ours: found[theirs] for theirs, ours in entry["rename"].items()}
    return {**found, **entry.get("extra", {})}


def _arguments_of(program: str) -> dict[str, Any]:
    """What the client's constructor is given."""
    given: dict[str, Any] = {}

    def stand_in(configuration: dict[str, Any] | None = None, **settings: Any) -> None:
        given.update(configuration or {}, **settings)

    def create_ssl_context(**_: Any) -> ssl.SSLContext:
        return ssl.create_default_context()

    helpers = SimpleNamespace(create_ssl_context=create_ssl_context)
    names = {"Producer": stand_in, "KafkaProducer": stand_in, "AIOKafkaProducer": stand_in}
    exec(program, {**names, "helpers": helpers, "json": json})
    return given


def _check(entry: dict[str, Any], config: ProducerConfig, stores: Path) -> None:
    for name, expected in entry.get("accepted", {}).items():
        value = getattr(config, name)
        if expected == "<set>":
            assert value is not None, name
            continue
        if isinstance(value, Secret):
            value = value.reveal()
        elif not isinstance(value, dict | bool | int):
            value = shown(SETTINGS[name], value).strip("[]") if value is not None else None
        alternatives: list[Any] = expected if hasattr(expected, "append") else [expected]
        alternatives = [_replaced(one, stores) for one in alternatives]
        assert value in alternatives or (name, value) == ("acks", -1), (name, value)
    told = "\n".join([*config.notes, *config.warnings])
    for name, word in entry.get("ignored", {}).items():
        assert any(_has(sentence, name) and _has(sentence, word) for sentence in told.splitlines()), (name, told)
    for word in entry.get("notices", ()):
        assert _has(told, word), (word, told)
    for word in entry.get("warns", ()):
        assert _has("\n".join(config.warnings), word), (word, config.warnings)
    _no_secrets(entry, repr(config), told, *config.describe().values())


def _replaced(value: Any, stores: Path) -> Any:
    return value.replace("/example/tls/", f"{stores}/") if isinstance(value, str) else value


def _check_refusal(entry: dict[str, Any], problems: tuple[str, ...]) -> None:
    unexplained = list(problems)
    for name, word in entry["refused"].items():
        found = [problem for problem in problems if _has(problem, name) and _has(problem, word)]
        assert found, (name, word, problems)
        unexplained = [problem for problem in unexplained if problem not in found]
    may = [*entry.get("may", ()), *entry["refused"]]
    assert not [problem for problem in unexplained if not any(_has(problem, name) for name in may)], unexplained


def _has(sentence: str, word: str) -> bool:
    if word.startswith("re:"):
        return re.search(word.removeprefix("re:"), sentence) is not None
    return word in sentence


def _no_secrets(entry: dict[str, Any], *texts: str) -> None:
    for secret in entry.get("secrets", ()):
        assert not [text for text in texts if secret in text], entry["file"]
