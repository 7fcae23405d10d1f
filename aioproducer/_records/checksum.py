"""The CRC-32C that batches carry, and where it comes from."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aioproducer._types import BytesLike


class Crc32c(Protocol):
    """A CRC-32C (Castagnoli) of `data`, continuing from the CRC of what came before it."""

    def __call__(self, data: BytesLike, value: int = 0, /) -> int: ...


@cache
def load_crc32c() -> Crc32c:
    """Return the checksum function.

    The first call imports it, 40 ms and more as the package loads importlib.metadata; the others cost 0.04 µs, once per
    batch. start() makes the first call, so that neither `import aioproducer` nor the first batch waits for it.
    """
    from crc32c import crc32c

    return crc32c
