"""Rules between settings: which contradict each other, which change each other, and what is not built yet."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Final

from aioproducer._config.kinds import INT32_MAX


class Findings:
    """What a check found.

    Attributes:
        values: the settings by name; rules change them.
        given: the names that the caller gave.
        problems: sentences; any makes the configuration invalid.
        warnings: sentences that someone should look at; the Producer logs them once.
        notes: sentences that say what followed from what was given.
    """

    __slots__ = ("given", "notes", "problems", "values", "warnings")

    def __init__(self, values: dict[str, Any], given: Set[str], problems: list[str]) -> None:
        """Begin with the problems found so far."""
        self.values = values
        self.given = given
        self.problems = problems
        self.warnings: list[str] = []
        self.notes: list[str] = []


NOT_BUILT: Final[dict[str, tuple[object, str]]] = {
    "enable_metrics_push": (False, "pushing metrics (KIP-714) is not built yet; leave it at False"),
}
"""For a setting, the one value that works so far, and what to say about others. A row goes when the thing is built."""


def apply_rules(findings: Findings, broken: Set[str]) -> None:
    """Check the settings against each other, in Kafka's order, and change those that follow from others.

    Args:
        findings: is added to.
        broken: settings whose own value is wrong already; rules about them are left out, to tell each mistake once.
    """
    for name, (only, sentence) in NOT_BUILT.items():
        if name not in broken and findings.values[name] != only:
            findings.problems.append(f"{name}: {sentence}")
    for names, rule in RULES:
        if broken.isdisjoint(names):
            rule(findings)
    _security(findings, broken)


def _security(found: Findings, broken: Set[str]) -> None:
    given = [name for name in found.given if name.startswith(("security_protocol", "ssl_", "sasl_", "enable_ssl_"))]
    if not given:
        return
    # Here and not at the top: most producers are made without, or with PLAINTEXT in tests.
    from aioproducer._config.declared import SETTINGS
    from aioproducer._config.security_rules import apply_security_rules

    changed = {name for name in given if found.values[name] != SETTINGS[name].default}
    if changed:
        apply_security_rules(found, changed, broken)


def _reconnect_backoff(found: Findings) -> None:
    # Java: who sets the base and not the maximum wants a constant pause, as it was before there was a maximum.
    if "reconnect_backoff_ms" in found.given and "reconnect_backoff_max_ms" not in found.given:
        base = found.values["reconnect_backoff_ms"]
        found.values["reconnect_backoff_max_ms"] = base
        found.notes.append(f"reconnect_backoff_max_ms is {base} as well, as only reconnect_backoff_ms was given")


def _at_most(low: str, high: str) -> Callable[[Findings], None]:
    def rule(found: Findings) -> None:
        if found.values[low] > found.values[high]:
            found.warnings.append(
                f"{low}={found.values[low]} is above {high}={found.values[high]}, so it is always {found.values[high]}"
            )
            found.values[low] = found.values[high]

    return rule


def _idempotence(found: Findings) -> None:
    values = found.values
    if not values["enable_idempotence"]:
        return
    if values["max_in_flight_requests_per_connection"] > 5:
        found.problems.append(
            f"max_in_flight_requests_per_connection={values['max_in_flight_requests_per_connection']} is above 5,"
            " the most that idempotence keeps in order; lower it, or give enable_idempotence=False"
        )
    conflicts: list[str] = []
    if values["retries"] == 0:
        conflicts.append("retries=0")
    if values["acks"] != -1:
        conflicts.append(f"acks={values['acks']}")
    if not conflicts:
        return
    if "enable_idempotence" in found.given:
        found.problems.append(
            f"enable_idempotence=True does not go with {' and '.join(conflicts)}; leave out the one or the other"
        )
    else:
        values["enable_idempotence"] = False
        found.notes.append(f"idempotence is off because of {' and '.join(conflicts)}: a retry may write a record twice")


def _transactional(found: Findings) -> None:
    if found.values["transactional_id"] is not None and not found.values["enable_idempotence"]:
        found.problems.append(
            "transactional_id needs idempotence; leave out what switches it off (enable_idempotence, acks, retries)"
        )


def _delivery_timeout(found: Findings) -> None:
    values = found.values
    least = min(values["linger_ms"] + values["request_timeout_ms"], INT32_MAX)
    timeout = values["delivery_timeout_ms"]
    if timeout >= least:
        return
    if "delivery_timeout_ms" in found.given:
        found.problems.append(
            f"delivery_timeout_ms={timeout} is below linger_ms + request_timeout_ms = {least}, so that a batch would"
            " expire before its first request does; raise it, or lower those"
        )
    else:
        values["delivery_timeout_ms"] = least
        found.warnings.append(
            f"delivery_timeout_ms is raised from {timeout} to linger_ms + request_timeout_ms = {least}"
        )


def _memory(found: Findings) -> None:
    memory, batch = found.values["buffer_memory"], found.values["batch_size"]
    if memory < batch:
        found.problems.append(
            f"buffer_memory={memory} is below batch_size={batch}, so that no batch could get full; raise the one or"
            " lower the other"
        )


def _no_effect(found: Findings) -> None:
    values, given = found.values, found.given
    if values["partitioner"] is not None:
        for name in ("partitioner_ignore_keys", "partitioner_adaptive_partitioning_enable"):
            if name in given:
                found.warnings.append(f"{name} has no effect with a partitioner; it is about the built-in one")
    if values["partitioner_availability_timeout_ms"] > 0 and not values["partitioner_adaptive_partitioning_enable"]:
        found.warnings.append(
            "partitioner_availability_timeout_ms has no effect without partitioner_adaptive_partitioning_enable"
        )
    for codec in ("gzip", "lz4", "zstd"):
        if f"compression_{codec}_level" in given and values["compression_type"] != codec:
            found.warnings.append(
                f"compression_{codec}_level has no effect with compression_type={values['compression_type']}"
            )


RULES: Final[tuple[tuple[frozenset[str], Callable[[Findings], None]], ...]] = (
    (frozenset({"reconnect_backoff_ms", "reconnect_backoff_max_ms"}), _reconnect_backoff),
    (
        frozenset({"reconnect_backoff_ms", "reconnect_backoff_max_ms"}),
        _at_most("reconnect_backoff_ms", "reconnect_backoff_max_ms"),
    ),
    (frozenset({"retry_backoff_ms", "retry_backoff_max_ms"}), _at_most("retry_backoff_ms", "retry_backoff_max_ms")),
    (
        frozenset({"socket_connection_setup_timeout_ms", "socket_connection_setup_timeout_max_ms"}),
        _at_most("socket_connection_setup_timeout_ms", "socket_connection_setup_timeout_max_ms"),
    ),
    (
        frozenset({"enable_idempotence", "retries", "acks", "max_in_flight_requests_per_connection"}),
        _idempotence,
    ),
    (frozenset({"transactional_id", "enable_idempotence", "retries", "acks"}), _transactional),
    (frozenset({"delivery_timeout_ms", "linger_ms", "request_timeout_ms"}), _delivery_timeout),
    (frozenset({"buffer_memory", "batch_size"}), _memory),
    (
        frozenset({"partitioner", "partitioner_availability_timeout_ms", "compression_type"}),
        _no_effect,
    ),
)
"""For each rule, the settings that it is about."""
