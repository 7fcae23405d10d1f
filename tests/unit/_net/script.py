"""A stream in memory whose other end is a list of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
from anyio.abc import ByteStream


class Script(ByteStream):
    """A broker that answers each send with the next bytes of a list; None closes."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []
        self.is_closed = False

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            raise anyio.EndOfStream
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send_eof(self) -> None:
        raise AssertionError("a producer never closes one half")

    async def aclose(self) -> None:
        self.is_closed = True

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}
