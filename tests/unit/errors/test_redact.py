"""What a log line says of an error whose words may hold what nobody should read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aioproducer.errors import KafkaError
from aioproducer.errors._redact import redacted

if TYPE_CHECKING:
    import pytest


def test_in_a_log_line_an_error_of_other_code_has_its_class_and_traceback_and_no_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = "".join(["SEC", "RET"])  # a traceback has lines of source, so not as a literal

    def fails() -> None:
        try:
            raise ValueError(words)
        except ValueError as cause:
            raise KeyError(words) from cause

    try:
        fails()
    except KeyError as error:
        logging.getLogger("aioproducer.test").error("it raised", exc_info=redacted(error))
    assert "KeyError" in caplog.text
    assert "in fails" in caplog.text
    assert "SECRET" not in caplog.text


def test_in_a_log_line_one_of_ours_keeps_its_words() -> None:
    assert str(redacted(KafkaError("no room"))) == "KafkaError: no room"
