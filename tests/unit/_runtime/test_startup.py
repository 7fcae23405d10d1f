"""startup.py: what a start that failed says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from aioproducer import BootstrapError, KafkaError, ProducerConfig
from aioproducer._runtime import startup


def config(servers: str, **settings: Any) -> ProducerConfig:
    return ProducerConfig(bootstrap_servers=servers, **settings)


def test_each_address_is_named_with_its_reason_or_that_there_is_none_yet() -> None:
    runtime = SimpleNamespace(failures={("a", 1): "refused", ("b", 2): "b:2 is silent"})
    error = startup._bootstrap_error(cast("Any", runtime), config("a:1,b:2,c:3"), 1.25)  # pyright: ignore[reportPrivateUsage]
    assert isinstance(error, BootstrapError)
    assert "a:1: refused; b:2 is silent; c:3: no attempt to connect has ended yet" in str(error)
    assert error.failures == runtime.failures


@pytest.mark.parametrize("cause", [None, KafkaError("fenced")])
def test_a_transactional_id_that_was_not_initialised_is_told_with_the_last_error(cause: KafkaError | None) -> None:
    error = startup._initialising_error(cause, 2.0, 60_000)  # pyright: ignore[reportPrivateUsage]
    assert str(cause or "its coordinator has not answered") in str(error)
    assert (error.__cause__, error.elapsed) == (cause, 2.0)


async def test_a_start_that_nothing_answers_ends_in_time_and_leaves_nothing() -> None:
    async def refuse(host: str, port: int) -> Any:
        raise ConnectionRefusedError(111, "refused")

    with pytest.raises(BootstrapError, match="a:1"):
        await startup.open_runtime(config("a:1", max_block_ms=1), "c", refuse, ())
