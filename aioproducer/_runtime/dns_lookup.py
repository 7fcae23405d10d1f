"""The canonical names of the bootstrap servers, for client_dns_lookup=resolve_canonical_bootstrap_servers_only.

For clusters behind one alias whose brokers have names of their own, which certificates or Kerberos principals are for.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import anyio

from aioproducer._logger import get_logger
from aioproducer.errors import BootstrapError

if TYPE_CHECKING:
    from aioproducer._backend.names import Resolver
    from aioproducer._config import ProducerConfig

_log = get_logger("aioproducer.connection")


async def with_canonical_servers(config: ProducerConfig, resolver: Resolver) -> ProducerConfig:
    """Return the settings with each bootstrap server replaced by the canonical names of all its addresses.

    An address without a name stays as it is. A name that cannot be resolved is left out and logged, as others may do.

    Raises:
        BootstrapError: none could be resolved within max_block_ms.
    """
    servers: dict[tuple[str, int], None] = {}
    failures: dict[tuple[str, int], str] = {}
    with anyio.move_on_after(config.max_block_ms / 1000):
        for host, port in config.bootstrap_servers:
            try:
                servers.update(dict.fromkeys([(name, port) for name in await _canonical_names(resolver, host, port)]))
            except OSError as error:
                failures[host, port] = str(error)
                _log.warning(
                    "a bootstrap server is left out, its name cannot be resolved: %s",
                    error,
                    extra={"event_name": "name_unresolved", "address": f"{host}:{port}"},
                )
    if not servers:
        raise _unresolved(config, failures)
    resolved = copy.copy(config)
    object.__setattr__(resolved, "bootstrap_servers", tuple(servers))  # frozen for users; nobody else has this copy
    return resolved


async def _canonical_names(resolver: Resolver, host: str, port: int) -> list[str]:
    return [await resolver.canonical_name(address) for address in await resolver.addresses(host, port)]


def _unresolved(config: ProducerConfig, failures: dict[tuple[str, int], str]) -> BootstrapError:
    told = [f"{host}:{port}: {failures.get((host, port), 'no answer yet')}" for host, port in config.bootstrap_servers]
    return BootstrapError(
        f"the name of no bootstrap server could be resolved (max_block_ms={config.max_block_ms}): {'; '.join(told)};"
        " check bootstrap_servers, and the name server",
        failures=failures,
    )
