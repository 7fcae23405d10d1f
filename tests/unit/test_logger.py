"""_logger.py: a handler that raises costs its line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from aioproducer._logger import get_logger

NAME = "aioproducer.of_a_test"


class Raising(logging.Handler):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        raise self.error


@pytest.fixture(autouse=True)
def no_handler_is_left() -> Iterator[None]:
    logger = logging.getLogger(NAME)
    logger.propagate = False
    yield
    logger.handlers.clear()


@pytest.mark.parametrize("error", [RuntimeError("full"), asyncio.CancelledError(), GeneratorExit()], ids=repr)
def test_what_a_handler_raises_does_not_come_out(error: BaseException) -> None:
    handler = Raising(error)
    logging.getLogger(NAME).addHandler(handler)
    get_logger(NAME).warning("%s is %d", "it", 1)
    assert [record.getMessage() for record in handler.records] == ["it is 1"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_what_ends_the_program_does(error: BaseException) -> None:
    logging.getLogger(NAME).addHandler(Raising(error))
    with pytest.raises(type(error)):
        get_logger(NAME).error("text")


def test_the_line_is_the_callers_and_has_what_was_given() -> None:
    handler = Raising(RuntimeError("full"))
    logging.getLogger(NAME).addHandler(handler)
    try:
        raise ValueError("cause")
    except ValueError:
        get_logger(NAME).error("text", extra={"mark": "x"}, exc_info=True)
    (record,) = handler.records
    assert record.funcName == "test_the_line_is_the_callers_and_has_what_was_given"
    assert record.__dict__["mark"] == "x"
    assert record.exc_info is not None
    assert record.name == NAME


def test_what_is_not_enabled_is_not_made() -> None:
    handler = Raising(RuntimeError("full"))
    logging.getLogger(NAME).addHandler(handler)
    logging.getLogger(NAME).setLevel(logging.ERROR)
    try:
        get_logger(NAME).warning("text")
    finally:
        logging.getLogger(NAME).setLevel(logging.NOTSET)
    assert not handler.records
