"""TokenCache: one token for all connections, fetched once however many ask, and ahead of its end.

Times in `refresh`; here they are only carried out.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, NoReturn

import anyio

from aioproducer._public import public_in
from aioproducer.errors import KafkaError
from aioproducer.security._clock import wall_clock_ms
from aioproducer.security._failures import refused, unavailable
from aioproducer.security._refresh import RETRY_SECONDS, RefreshSettings, is_kept, is_sendable, refresh_at_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer.security._providers import TokenProvider
    from aioproducer.security._token import Token


@public_in("aioproducer.security")
class TokenCache:
    """Keeps the provider's last token.

    Belongs to one event loop. Whoever logs in calls `get`; `run`, in a task of its own while there is a connection,
    only hides how long the provider takes.

    Attributes:
        failure: what the provider's last call raised, or None after one that went well.
    """

    def __init__(
        self,
        provider: TokenProvider,
        *,
        settings: RefreshSettings | None = None,
        timeout: float = 30.0,
        clock: Callable[[], int] = wall_clock_ms,
        rng: random.Random | None = None,
    ) -> None:
        """Make an empty cache; nothing is fetched yet.

        Args:
            provider: whom to ask; see `as_provider` for what can be made one.
            settings: when `run` asks.
            timeout: seconds for one call of the provider.
            clock: the wall clock in milliseconds, which tokens' times are compared with.
            rng: draws the jitter of refreshing.
        """
        self._provider = provider
        self._settings = settings or RefreshSettings()
        self._timeout = timeout
        self._clock = clock
        self._rng = rng or random.Random()
        self._lock = anyio.Lock()
        self._token: Token | None = None
        self._arrived_at_ms = 0
        self._refresh_at = -math.inf  # of the event loop's clock
        self._has_new_plan = anyio.Event()
        self._answers = 0  # of the provider, good and bad
        self.failure: KafkaError | None = None

    async def get(self, *, newer_than: Token | None = None) -> Token:
        """Return a token that is good for at least two seconds.

        Calls at the same time share one call of the provider, and its failure. When a new token cannot be had, the old
        one is returned as long as it lasts. Cancel-safe: the next of those that wait asks instead.

        Args:
            newer_than: a token that is not wanted any more: the broker refused it, or a session with it is ending.

        Raises:
            AuthenticationError: no token can be had; `retriable` says whether later.
        """
        seen = self._answers
        kept = self._kept(newer_than)
        if kept is not None:
            return kept
        async with self._lock:
            kept = self._kept(newer_than)
            if kept is not None:
                return kept
            if self._answers != seen and self.failure is not None:  # of a call that we have waited for
                return self._old_one_or_raise(newer_than, self.failure)
            return await self._fetched(newer_than)

    async def run(self) -> NoReturn:
        """Fetch tokens ahead of their end, for ever; cancel it to stop. A failure is kept in `failure` and tried again.

        What the provider raises is no reason to stop: the old token stays in use, and `get` tells who needs another.
        """
        while True:
            delay = self._refresh_at - anyio.current_time()
            if delay > 0:
                with anyio.move_on_after(delay):
                    await self._has_new_plan.wait()
                continue
            try:
                await self.get(newer_than=self._token)
            except KafkaError:
                pass  # in `failure`, and the plan says when to go on

    def _kept(self, newer_than: Token | None) -> Token | None:
        token = self._token
        if token is None or token is newer_than:
            return None
        return token if is_kept(token, arrived_at_ms=self._arrived_at_ms, now_ms=self._clock()) else None

    def _old_one_or_raise(self, newer_than: Token | None, failure: KafkaError) -> Token:
        token = self._token
        if token is None or token is newer_than or not is_sendable(token, now_ms=self._clock()):
            raise failure
        return token

    async def _fetched(self, newer_than: Token | None) -> Token:
        try:
            token = await self._ask()
        except KafkaError as error:
            self._answers += 1
            self.failure = error
            self._plan(anyio.current_time() + RETRY_SECONDS)
            return self._old_one_or_raise(newer_than, error)
        self._answers += 1
        self.failure = None
        self._keep(token)
        return token

    async def _ask(self) -> Token:
        with anyio.move_on_after(self._timeout):
            return self._checked(await self._call())
        raise unavailable(f"the token provider did not answer within {self._timeout:g} s")

    async def _call(self) -> Token:
        try:
            return await self._provider()
        except KafkaError:
            raise
        except Exception as error:  # a user's provider may raise anything; its words stay in the cause
            raise unavailable(f"the token provider raised {type(error).__name__}") from error

    def _checked(self, token: Token) -> Token:
        now_ms = self._clock()
        if not token.value:
            raise refused("the token provider returned an empty token")
        if not is_sendable(token, now_ms=now_ms):
            assert token.expires_at_ms is not None
            raise unavailable(
                f"the token provider returned a token that ends at {token.expires_at_ms} ms, and it is {now_ms} ms by"
                " this host's clock (since 1970): check both clocks, or the provider keeps tokens too long"
            )
        return token

    def _keep(self, token: Token) -> None:
        now_ms = self._clock()
        self._token = token
        self._arrived_at_ms = now_ms
        refresh_ms = refresh_at_ms(token, self._settings, now_ms=now_ms, chance=self._rng.random())
        # The wall clock may jump from now on; the loop's does not.
        self._plan(math.inf if refresh_ms is None else anyio.current_time() + (refresh_ms - now_ms) / 1000)

    def _plan(self, refresh_at: float) -> None:
        self._refresh_at = refresh_at
        self._has_new_plan.set()
        self._has_new_plan = anyio.Event()
