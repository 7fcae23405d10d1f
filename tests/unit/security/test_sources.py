"""Where secrets come from."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from aioproducer._secret import Secret
from aioproducer.security._sources import MAX_FILE_BYTES, answer_of, file_secret, kept, secret_from
from tests.unit.sasl.canary import CANARY, assert_object_hides
from tests.unit.security.async_errors import error_when_awaited

if TYPE_CHECKING:
    from pathlib import Path


async def asynchronous() -> str:
    return CANARY


class AsyncCallable:
    async def __call__(self) -> bytes:
        return CANARY.encode()


SOURCES: list[Any] = [CANARY, CANARY.encode(), Secret(CANARY), lambda: CANARY, asynchronous, AsyncCallable()]


@pytest.mark.parametrize("number", range(len(SOURCES)))
async def test_values_and_callables_of_both_kinds_are_taken(number: int) -> None:
    secret = await secret_from(SOURCES[number])
    assert secret == Secret(CANARY)


async def test_a_callable_is_asked_each_time() -> None:
    answers = iter(["first", "second"])

    def rotating() -> str:
        return next(answers)

    assert await secret_from(rotating) == Secret("first")
    assert await secret_from(rotating) == Secret("second")


async def test_a_synchronous_callable_does_not_block_the_loop() -> None:
    threads: list[threading.Thread] = []
    await answer_of(lambda: threads.append(threading.current_thread()))
    assert threads[0] is not threading.current_thread()


async def test_what_a_synchronous_callable_returns_is_awaited() -> None:
    answer = await answer_of(lambda: asynchronous())
    assert answer == Secret(CANARY)


async def test_what_a_callable_raises_is_the_cause_and_not_in_the_text() -> None:
    def fails() -> str:
        raise ZeroDivisionError("a word of its own")

    error = await error_when_awaited(secret_from(fails))
    assert error.retriable
    assert str(error) == "what should give a credential raised ZeroDivisionError"
    assert isinstance(error.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("answer", [7, None, ["\udc80"]], ids=repr)
async def test_what_is_no_secret_is_refused(answer: object) -> None:
    error = await error_when_awaited(secret_from(lambda: answer))
    assert not error.retriable
    assert type(answer).__name__ in str(error)


def test_values_are_kept_as_secrets_and_callables_as_they_are() -> None:
    assert_object_hides(kept(CANARY))
    assert kept(asynchronous) is asynchronous


async def test_a_file_is_read_each_time_and_trimmed(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("first\r\n")
    assert await file_secret(path) == Secret("first")
    path.write_text(" second ")
    assert await file_secret(str(path)) == Secret("second")


async def test_a_file_that_is_not_there_or_empty_may_come(tmp_path: Path) -> None:
    missing = await error_when_awaited(file_secret(tmp_path / "missing"))
    assert missing.retriable
    assert "missing cannot be read: No such file" in str(missing)
    (tmp_path / "empty").write_text("\n")
    empty = await error_when_awaited(file_secret(tmp_path / "empty"))
    assert empty.retriable
    assert "is empty" in str(empty)


async def test_a_long_file_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"x" * MAX_FILE_BYTES)
    assert len((await file_secret(path)).reveal_bytes()) == MAX_FILE_BYTES
    path.write_text(CANARY + "x" * MAX_FILE_BYTES)
    error = await error_when_awaited(file_secret(path))
    assert not error.retriable
