"""Every message that is spoken: one file per request and its response, and the tables of all by number.

Where one message is needed its module is imported by name. The tables import a module when its message is first asked
for: a producer needs four of them, and all take 8 ms of its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final, TypeVar

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.schema import Message, Request, Response

__all__ = ["REQUESTS", "RESPONSES", "ApiKey", "Message", "Request", "Response"]

M = TypeVar("M", bound=Message)


class _Table(Mapping[int, type[M]]):
    """One side's classes by ApiKey. A key's name says where its class is: END_TXN in end_txn, as EndTxnRequest."""

    def __init__(self, base: type[M]) -> None:
        self._base = base
        self._loaded: dict[int, type[M]] = {}

    def __getitem__(self, api_key: int) -> type[M]:
        found = self._loaded.get(api_key)
        if found is None:
            found = self._loaded[api_key] = self._load(api_key)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(ApiKey)

    def __len__(self) -> int:
        return len(ApiKey)

    def _load(self, api_key: int) -> type[M]:
        try:
            name = ApiKey(api_key).name
        except ValueError:
            raise KeyError(api_key) from None
        module = import_module(f"{__name__}.{name.lower()}")
        found: type[M] = getattr(module, name.title().replace("_", "") + self._base.__name__)
        return found


REQUESTS: Final[Mapping[int, type[Request]]] = _Table(Request)
"""The request classes by ApiKey."""

RESPONSES: Final[Mapping[int, type[Response]]] = _Table(Response)
"""The response classes by ApiKey."""
