"""What completion and help() see."""

from __future__ import annotations

import inspect
from typing import Any

from aioproducer._config import SETTINGS, ProducerConfig, SettingsSignature


def test_a_configuration_takes_every_setting_by_name() -> None:
    parameters = inspect.signature(ProducerConfig).parameters
    assert list(parameters) == list(SETTINGS)
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert parameters["bootstrap_servers"].default is inspect.Parameter.empty
    assert (parameters["linger_ms"].default, parameters["linger_ms"].annotation) == (5, "int")


def test_parameters_of_its_own_come_first_and_once() -> None:
    class Made:
        __signature__ = SettingsSignature(is_complete=False)

        def __init__(self, first: int, *, linger_ms: str = "x", **settings: Any) -> None: ...

    parameters = inspect.signature(Made).parameters
    assert list(parameters)[:2] == ["first", "linger_ms"]
    assert parameters["linger_ms"].default == "x"
    assert len(parameters) == len(SETTINGS) + 1
    assert parameters["bootstrap_servers"].default is None


def test_a_subclass_that_takes_no_settings_by_name_shows_none() -> None:
    class Base:
        __signature__ = SettingsSignature(is_complete=False)

    class Made(Base):
        def __init__(self, first: int) -> None: ...

    assert list(inspect.signature(Made).parameters) == ["first"]
