"""Where a secret comes from: a value, a callable that is asked each time, or a file that is read each time."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from aioproducer._public import public_in
from aioproducer._secret import Secret, SecretLike
from aioproducer.security._failures import refused, unavailable
from aioproducer.security._threads import run_in_thread

if TYPE_CHECKING:
    import os

SecretSource: TypeAlias = SecretLike | Callable[[], Any]
"""A secret, or a callable, synchronous or not, that returns one each time it is asked: so that it can be rotated."""

MAX_FILE_BYTES: Final = 262_144
"""A longer file is no token and no key."""


def kept(source: SecretSource) -> SecretSource:
    """Return a source as it is kept: a value as a Secret, a callable as it is."""
    return source if callable(source) else Secret(source)


@public_in("aioproducer.security")
async def secret_from(source: SecretSource) -> Secret:
    """Return the present secret.

    Raises:
        AuthenticationError: the callable raised (its exception is the cause; retriable), or returned no secret.
    """
    if not callable(source):
        return Secret(source)
    try:
        answer = await answer_of(source)
    except Exception as error:
        raise unavailable(f"what should give a credential raised {type(error).__name__}") from error
    try:
        return Secret(answer)
    except (TypeError, ValueError):
        kind = type(answer).__name__
    del answer
    raise refused(f"what should give a credential returned {kind} that is no secret: return str, bytes or Secret")


async def answer_of(call: Callable[[], Any]) -> Any:
    """Return what a callable returns, a text as a Secret.

    An async one is awaited. Any other runs in a thread, as it may block; what it returns is awaited if it can be.
    """
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None)):  # noqa: B004
        answer = await cast("Awaitable[Any]", call())
    else:
        answer = await run_in_thread(call)
        if inspect.isawaitable(answer):
            answer = await answer
    return Secret(answer) if isinstance(answer, str | bytes) else answer


async def file_secret(path: str | os.PathLike[str]) -> Secret:
    """Return what is in a file, without whitespace around it; it is read in a thread, each time.

    So a file that is replaced, as Kubernetes and Vault do, counts from the next call on.

    Raises:
        AuthenticationError: it cannot be read, or is empty (retriable: it may be about to be replaced); it is too long.
    """
    return await run_in_thread(lambda: read_file(path))


def read_file(path: str | os.PathLike[str]) -> Secret:
    """Return what is in a file, as `file_secret`, but blocking.

    Raises: as `file_secret`.
    """
    try:
        with open(path, "rb") as file:
            found = Secret(file.read(MAX_FILE_BYTES + 1).strip())
    except OSError as error:
        raise unavailable(f"{path} cannot be read: {error.strerror}") from None
    if len(found.reveal_bytes()) > MAX_FILE_BYTES:
        raise refused(f"{path} has more than {MAX_FILE_BYTES:,} bytes: it is no token and no key")
    if not found:
        raise unavailable(f"{path} is empty")
    return found
