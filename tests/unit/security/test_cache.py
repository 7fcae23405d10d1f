"""One token for all, fetched once and ahead of its end."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING

import anyio
import pytest
import trio.testing

from aioproducer.errors import AuthenticationError
from aioproducer.security._cache import TokenCache
from aioproducer.security._failures import refused, unavailable
from aioproducer.security._refresh import RefreshSettings
from aioproducer.security._token import Token
from tests.unit.sasl.canary import CANARY, assert_hidden
from tests.unit.security.async_errors import error_when_awaited

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NOW = 1_700_000_000_000
HOUR = 3_600_000


class Issuer:
    """A provider of tokens under a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.calls = 0
        self.outcomes: deque[Token | Exception] = deque()
        self.hold: anyio.Event | None = None
        self.life_ms = HOUR

    async def __call__(self) -> Token:
        self.calls += 1
        number = self.calls
        if self.hold is not None:
            await self.hold.wait()
        outcome = self.outcomes.popleft() if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome or Token(f"t{number}", expires_at_ms=self.now_ms + self.life_ms)

    def clock(self) -> int:
        return self.now_ms

    def cache(self, timeout: float = 30.0) -> TokenCache:
        return TokenCache(self, clock=self.clock, timeout=timeout, rng=random.Random(1))


async def value_of(cache: TokenCache) -> str:
    return (await cache.get()).value.reveal()


async def test_a_token_is_fetched_once_and_again_near_its_end() -> None:
    issuer = Issuer()
    cache = issuer.cache()
    assert [await value_of(cache), await value_of(cache)] == ["t1", "t1"]
    issuer.now_ms += HOUR * 95 // 100 - 1
    assert await value_of(cache) == "t1"
    issuer.now_ms += 1
    assert await value_of(cache) == "t2"


async def test_many_at_the_same_time_share_one_call() -> None:
    issuer = Issuer()
    cache = issuer.cache()
    found: list[Token] = []

    async def ask() -> None:
        found.append(await cache.get())

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(ask)
    assert issuer.calls == 1
    assert len(found) == 50


async def test_many_at_the_same_time_share_one_failure() -> None:
    issuer = Issuer()
    issuer.outcomes.append(unavailable("down"))
    cache = issuer.cache()
    failures: list[AuthenticationError] = []

    async def ask() -> None:
        with pytest.raises(AuthenticationError, match="down") as caught:
            await cache.get()
        failures.append(caught.value)

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(ask)
    assert issuer.calls == 1
    assert len(failures) == 50
    assert cache.failure is failures[0]
    assert await value_of(cache) == "t2"  # who comes later asks again
    assert cache.failure is None


async def test_when_the_one_that_asks_is_cancelled_the_next_one_asks() -> None:
    issuer = Issuer()
    issuer.hold = anyio.Event()
    cache = issuer.cache()
    found: list[Token] = []

    async def ask() -> None:
        found.append(await cache.get())

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as first:
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                assert issuer.calls == 1
                first.cancel()
        await anyio.wait_all_tasks_blocked()
        assert issuer.calls == 2
        issuer.hold.set()
    assert [token.value.reveal() for token in found] == ["t2"]


async def test_a_token_that_is_not_wanted_any_more_is_replaced() -> None:
    issuer = Issuer()
    cache = issuer.cache()
    old = await cache.get()
    assert (await cache.get(newer_than=old)).value.reveal() == "t2"
    assert (await cache.get(newer_than=old)).value.reveal() == "t2"


async def test_the_old_token_stays_in_use_when_there_is_no_new_one() -> None:
    issuer = Issuer()
    cache = issuer.cache()
    old = await cache.get()
    issuer.now_ms += HOUR - 3000
    issuer.outcomes.extend([unavailable("down"), unavailable("still down")])
    assert await cache.get() is old
    assert cache.failure is not None
    issuer.now_ms += 1001
    error = await error_when_awaited(cache.get())
    assert "still down" in str(error)


async def test_the_old_token_is_no_answer_to_who_does_not_want_it() -> None:
    issuer = Issuer()
    cache = issuer.cache()
    old = await cache.get()
    issuer.outcomes.append(refused("no"))
    error = await error_when_awaited(cache.get(newer_than=old))
    assert not error.retriable


async def test_a_token_without_known_end_is_asked_for_each_time() -> None:
    issuer = Issuer()
    issuer.outcomes.extend([Token("a"), Token("b")])
    cache = issuer.cache()
    assert [await value_of(cache), await value_of(cache)] == ["a", "b"]


async def test_a_token_that_has_ended_when_it_comes_is_a_failure_with_both_clocks() -> None:
    issuer = Issuer()
    issuer.outcomes.append(Token(CANARY, expires_at_ms=NOW - 1))
    error = await error_when_awaited(issuer.cache().get())
    assert error.retriable
    assert f"{NOW - 1}" in str(error)
    assert f"{NOW} ms" in str(error)


async def test_an_empty_token_is_refused() -> None:
    issuer = Issuer()
    issuer.outcomes.append(Token("", expires_at_ms=NOW + HOUR))
    assert "empty" in str(await error_when_awaited(issuer.cache().get()))


async def test_a_provider_that_does_not_answer_is_given_up() -> None:
    issuer = Issuer()
    issuer.hold = anyio.Event()
    error = await error_when_awaited(issuer.cache(timeout=0.01).get())
    assert error.retriable
    assert "did not answer within 0.01 s" in str(error)


async def test_what_a_provider_raises_is_the_cause_and_not_in_the_text() -> None:
    issuer = Issuer()
    issuer.outcomes.append(ZeroDivisionError("a word of its own"))
    error = await error_when_awaited(issuer.cache().get())
    assert error.retriable
    assert str(error) == "the token provider raised ZeroDivisionError"
    assert isinstance(error.__cause__, ZeroDivisionError)


def on_virtual_clock(play: Callable[[VirtualIssuer], Awaitable[None]]) -> None:
    """Run with trio's clock, which jumps to the next deadline when everybody waits."""

    async def main() -> None:
        await play(VirtualIssuer())

    anyio.run(main, backend="trio", backend_options={"clock": trio.testing.MockClock(autojump_threshold=0)})


class VirtualIssuer(Issuer):
    """An issuer whose wall clock goes with the loop's."""

    def __init__(self) -> None:
        super().__init__()
        self._began = anyio.current_time()
        self.asked_at: list[float] = []

    @property
    def seconds(self) -> float:
        return round(anyio.current_time() - self._began, 3)

    def clock(self) -> int:
        return NOW + int(1000 * self.seconds)

    async def __call__(self) -> Token:
        self.asked_at.append(self.seconds)
        self.now_ms = self.clock()
        return await super().__call__()

    async def run_for(self, cache: TokenCache, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await cache.run()


HALF = RefreshSettings(window_factor=0.5, window_jitter=0.0)


def test_it_is_fetched_ahead_of_its_end() -> None:
    async def play(issuer: VirtualIssuer) -> None:
        await issuer.run_for(TokenCache(issuer, clock=issuer.clock, settings=HALF), 6000)
        assert issuer.asked_at == [0, 1800, 3600, 5400]

    on_virtual_clock(play)


def test_a_refresh_that_fails_is_tried_again_and_the_old_token_stays() -> None:
    async def play(issuer: VirtualIssuer) -> None:
        cache = TokenCache(issuer, clock=issuer.clock, settings=HALF)
        old = await cache.get()
        issuer.outcomes.extend([unavailable("down"), ZeroDivisionError()])
        await issuer.run_for(cache, 1815)
        assert issuer.asked_at == [0, 1800, 1810]
        assert cache.failure is not None
        assert await cache.get() is old
        await issuer.run_for(cache, 100)
        assert issuer.asked_at == [0, 1800, 1810, 1820]
        assert cache.failure is None

    on_virtual_clock(play)


def test_the_first_token_is_tried_again_too() -> None:
    async def play(issuer: VirtualIssuer) -> None:
        issuer.outcomes.extend([unavailable("down"), unavailable("down")])
        await issuer.run_for(TokenCache(issuer, clock=issuer.clock, settings=HALF), 100)
        assert issuer.asked_at == [0, 10, 20]

    on_virtual_clock(play)


def test_a_new_plan_wakes_the_one_that_waits_for_the_old() -> None:
    async def play(issuer: VirtualIssuer) -> None:
        cache = TokenCache(issuer, clock=issuer.clock, settings=HALF)
        issuer.outcomes.extend([Token("no end"), Token("short", expires_at_ms=NOW + 200_000)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(issuer.run_for, cache, 150)
            await anyio.sleep(1)
            assert (await cache.get()).value.reveal() == "short"
        assert issuer.asked_at == [0, 1, 100.5]

    on_virtual_clock(play)


async def test_it_shows_no_token() -> None:
    issuer = Issuer()
    issuer.outcomes.append(Token(CANARY, expires_at_ms=NOW + HOUR))
    cache = issuer.cache()
    await cache.get()
    assert_hidden(repr(cache) + repr(vars(cache)))


async def test_a_cancelled_wait_keeps_nothing_from_the_others() -> None:
    issuer = Issuer()
    issuer.hold = anyio.Event()
    cache = issuer.cache()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cache.get)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0):
            await cache.get()
        issuer.hold.set()
    assert issuer.calls == 1
    assert await value_of(cache) == "t1"
