"""The lines of a producer's life and of what the application's code raises, none of which quotes a record."""

from __future__ import annotations

from typing import Any

import pytest

from aioproducer import ProducerInterceptor
from aioproducer._runtime import log_lines


def raised(text: str) -> Exception:
    """An exception with a traceback."""
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_settings_are_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        log_lines.settings("c", ["surprising"], ["followed"])
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "c: surprising"),
        ("INFO", "c: followed"),
    ]


def test_start_and_close_are_told_at_info(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        log_lines.started("c")
        log_lines.closed("c")
    assert [(r.name, r.__dict__["event_name"]) for r in caplog.records] == [
        ("aioproducer.producer", "started"),
        ("aioproducer.producer", "closed"),
    ]


@pytest.mark.parametrize("method", ["on_send", "on_acknowledgement", "close"])
def test_an_interceptor_that_raises_is_named_without_its_words(method: str, caplog: pytest.LogCaptureFixture) -> None:
    class Ours(ProducerInterceptor[Any, Any]):
        """One that does nothing."""

    log_lines.interceptor_failed(method, Ours(), raised("secret"))
    (record,) = caplog.records
    assert (record.levelname, record.__dict__["interceptor"]) == ("WARNING", "Ours")
    assert record.getMessage().startswith(f"an interceptor's {method} raised")
    assert "secret" not in caplog.text
    assert "in raised" in caplog.text, "the traceback says where"


def test_a_callback_that_raises_is_an_error_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    log_lines.callback_failed("<Delivery>", raised("secret"))
    (record,) = caplog.records
    assert (record.name, record.levelname, record.__dict__["event_name"]) == (
        "aioproducer.delivery",
        "ERROR",
        "callback_failed",
    )
    assert "secret" not in caplog.text
