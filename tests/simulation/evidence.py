"""Was everything kept that is promised? Looks at the brokers' logs, the outcomes, and what the core still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._records.decode import decode_batch
from aioproducer._runtime.outcome import follow_split
from aioproducer.errors import BufferFullError, BufferTimeoutError, DeliveryTimeoutError
from tests.simulation import atomicity
from tests.simulation.calls import Violation
from tests.simulation.presets import inside

if TYPE_CHECKING:
    from aioproducer.testing._broker.log import StoredBatch
    from aioproducer.testing._broker.partition import Partition
    from tests.simulation.calls import Call
    from tests.simulation.history import History
    from tests.simulation.party import Party

_SHORT_MS = 300

Place = tuple[int, int, int]
"""(which of the topics of that name, partition, offset)"""


def examine(history: History) -> None:
    """Judge a history that is over.

    Raises:
        Violation: a promise was broken.
    """
    for party in history.parties:
        _examine_outcomes(party)
        examine_memory(party)
        _examine_leftovers(party)
    if history.scenario.transactional is not None:
        atomicity.settle(history)
    visible = _examine_logs(history)
    if history.scenario.transactional is not None:
        atomicity.examine_transactions(history, visible)
    elif history.scenario.is_patient:
        _examine_patience(history)
    if history.scenario.is_sparse:
        _examine_promptness(history)
    _examine_probes(history)


def examine_memory(party: Party) -> None:
    """Whether what the core counts as used is what the batches and the waiting records hold."""
    calls = party.calls
    reserved = calls.reserved()
    held = 0
    looked_at = list(calls.batches)  # grows by the parts of splits
    for batch in looked_at:
        if batch.split_into is not None:
            children = [child for _, child in batch.split_into]
            looked_at += [child for child in children if child not in calls.batches]
            calls.batches.update(dict.fromkeys(children))
        held += batch.charged
        if batch.is_done and not batch.charged:
            calls.batches.pop(batch, None)
    statistics = party.accumulator.statistics()
    used = statistics.buffer_total_bytes - statistics.buffer_available_bytes
    if used != held + reserved:
        raise Violation(f"{used} bytes of buffer_memory are taken; batches hold {held}, waiting records {reserved}")


def examine_line(party: Party) -> None:
    """Whether nobody waits for memory that is there."""
    accumulator = party.accumulator
    first = inside(accumulator, "_wait_queue", "_memory_queue").first
    if first is not None and first.charge <= accumulator.statistics().buffer_available_bytes:
        raise Violation(f"{first} waits for {first.charge} bytes, which are free")


def examine_leaders(party: Party) -> None:
    """Whether somebody asks for the leaders of partitions that have something to send."""
    if not party.accumulator.leaderless_topics or party.sender.fatal_error is not None:
        return
    metadata = inside(party.sender, "_metadata")
    if not (metadata.retry_timer.in_progress or inside(metadata, "_need_full") or inside(metadata, "_need_topics")):
        raise Violation(f"nobody asks who leads {sorted(party.accumulator.leaderless_topics)}")


def _examine_outcomes(party: Party) -> None:
    for call in party.calls.calls:
        if call.done_at is None:
            raise Violation(f"{call} has no outcome")
        batch = call.batch
        if batch is None:
            continue
        if call.pending is not None and call.pending.batch is not None:
            home, index = follow_split(call.pending.batch, call.pending.index)
            if home is not batch or index != call.index:
                raise Violation(f"{call}: its Delivery ends at record {index} of {home}, its callback in {batch}")
        offset = batch.base_offset + call.index if batch.base_offset >= 0 else -1
        is_same = (offset, batch.error is None or call.error is not None) == (call.offset, True)
        if not is_same or (batch.error is None and batch.record_errors is None and call.error is not None):
            raise Violation(f"the outcome of {call} has changed after it was told")
        if isinstance(call.error, DeliveryTimeoutError):
            limit = party.scenario.config.delivery_timeout_ms / 1000
            if call.error.elapsed is None or call.error.elapsed < limit - 1e-6:
                raise Violation(f"{call} was given up after {call.error.elapsed} s, too early")


def _examine_leftovers(party: Party) -> None:
    statistics = party.accumulator.statistics()
    if statistics.buffer_available_bytes != statistics.buffer_total_bytes:
        raise Violation(f"memory is not free at the end: {statistics}")
    if statistics.batches or statistics.waiting_for_memory or statistics.waiting_for_topic:
        raise Violation(f"something is left at the end: {statistics}")
    if party.calls.flushes:
        raise Violation("a flush has not ended")
    if party.calls.lookups:
        raise Violation("a look-up has not ended")
    if party.accumulator.deadline() is not None:
        raise Violation("the accumulator waits for something, and holds nothing")


# ── the logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _examine_logs(history: History) -> set[int]:
    """Look at all records of the logs; return the numbers of those that a reader of committed data sees."""
    scenario = history.scenario
    found, visible = _found(history)
    is_reliable = scenario.config.acks == -1
    for call in [call for party in history.parties for call in party.calls.calls]:
        places = found.pop(call.number, [])
        if call.topic != (topic := places[0][0] if places else call.topic):
            raise Violation(f"{call} is in topic {topic}")
        where = [place for _, place in places]
        if call.accepted_at is None and where:
            raise Violation(f"{call} was never accepted, and is in the log at {where}")
        if scenario.is_idempotent and scenario.keeps_promises and len(where) > 1:
            raise Violation(f"{call} was written {len(where)} times, at {where}")
        if call.accepted_at is None:
            continue
        if call.error is None:
            _examine_acknowledged(call, where, is_reliable=is_reliable)
        else:
            _examine_failed(call, where, is_reliable=scenario.keeps_promises)
    if found:
        raise Violation(f"records that nobody made are in the log: {found}")
    if scenario.is_ordered and scenario.keeps_promises and is_reliable:
        for party in history.parties:
            _examine_order(party)
    return visible


def _found(history: History) -> tuple[dict[int, list[tuple[str, Place]]], set[int]]:
    found: dict[int, list[tuple[str, Place]]] = {}
    visible: set[int] = set()
    buried = history.faults.graveyard
    for incarnation, topic in enumerate([*buried, *history.cluster.state.topics.values()]):
        for partition in topic.partitions:
            for offset, number, is_visible in _records(partition):
                found.setdefault(number, []).append((topic.name, (incarnation, partition.index, offset)))
                if is_visible:
                    visible.add(number)
    return found, visible


def _records(partition: Partition) -> list[tuple[int, int, bool]]:
    """Offset and number of each record, and whether a reader of committed data sees it."""
    records: list[tuple[int, int, bool]] = []
    stable = partition.last_stable_offset
    for stored in partition.log.batches:
        if stored.is_control:
            continue
        is_visible = stored.last_offset < stable and not (stored.is_transactional and _is_aborted(partition, stored))
        for index, record in enumerate(decode_batch(stored.data).records):
            assert record.value is not None
            records.append((stored.base_offset + index, int(record.value.partition(b".")[0]), is_visible))
    return records


def _is_aborted(partition: Partition, stored: StoredBatch) -> bool:
    return any(
        each.producer_id == stored.producer_id and each.first_offset <= stored.base_offset <= each.last_offset
        for each in partition.log.aborted
    )


def _examine_acknowledged(call: Call, where: list[Place], *, is_reliable: bool) -> None:
    if call.named_partition is not None and call.partition != call.named_partition:
        raise Violation(f"{call} went to partition {call.partition}")
    if not is_reliable:
        return
    if not where:
        raise Violation(f"{call} was acknowledged at offset {call.offset}, and is lost")
    if call.offset >= 0 and (call.partition, call.offset) not in [place[1:] for place in where]:
        raise Violation(f"{call} was acknowledged at {call.partition}/{call.offset}, and is at {where}")


def _examine_failed(call: Call, where: list[Place], *, is_reliable: bool) -> None:
    if not call.possibly_written and where and is_reliable:
        raise Violation(f"{call} failed as not written, and is in the log at {where}: {call.error}")
    if call.possibly_written and not call.was_sent:
        raise Violation(f"{call} was never sent, and may have been written: {call.error}")


def _examine_order(party: Party) -> None:
    last: dict[tuple[str, int], Call] = {}
    for call in party.calls.calls:
        if call.accepted_at is None or call.error is not None or call.offset < 0 or call.is_grown:
            continue
        before = last.get((call.topic, call.partition))
        if before is not None and before.offset >= call.offset:
            raise Violation(f"{before} is at offset {before.offset}, and {call}, a later call, at {call.offset}")
        last[call.topic, call.partition] = call


# ── patience ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def recovery_time(history: History) -> float:
    """Return within how many seconds after the last fault everything has to be delivered."""
    config = history.scenario.config
    longest_wait = max(
        config.request_timeout_ms,
        config.retry_backoff_max_ms,
        config.reconnect_backoff_max_ms,
        config.socket_connection_setup_timeout_max_ms,
        config.linger_ms,
    )
    return 10 + 10 * longest_wait / 1000


def _examine_patience(history: History) -> None:
    """With all the time that is needed, and faults that pass, nothing may fail."""
    if history.scenario.ending not in ("close", "flush"):
        return
    for call in history.calls.calls:
        if call.error is not None and not call.is_grown:
            raise Violation(f"{call} failed in spite of all patience: {call.error!r}")


def _examine_promptness(history: History) -> None:
    """With nothing else to do, nothing waits for longer than its backoffs: each timer is set."""
    config = history.scenario.config
    limit = (
        1
        + (
            2 * config.request_timeout_ms
            + config.linger_ms
            + 10 * (config.retry_backoff_max_ms + config.reconnect_backoff_max_ms)
        )
        / 1000
    )
    for call in history.calls.calls:
        if call.accepted_at is not None and call.done_at is not None and call.done_at > call.accepted_at + limit:
            raise Violation(f"{call} took {call.done_at - call.accepted_at:.3f} s, with little to wait for")


def _examine_probes(history: History) -> None:
    """The faults over, and some time after, the producer must work as if nothing had been."""
    config = history.scenario.config
    if config.delivery_timeout_ms < config.linger_ms + config.request_timeout_ms + 1000 or config.retries < 100:
        return  # too little time for a lost connection in between
    if config.request_timeout_ms < history.scenario.latency[1] * 10_000:
        return  # answers may be too late for no fault of anybody's
    transactor = history.transactor
    if transactor is not None and (transactor.fatal is not None or config.transaction_timeout_ms < 2000):
        return
    refused = [call for call in history.probes if _is_excused(call, config.max_block_ms)]
    if transactor is not None and refused:
        return  # each has failed the transaction, and all that is in it
    for call in history.probes:
        if call not in refused and (call.refusal is not None or call.error is not None):
            raise Violation(f"{call}, made when all was well again, failed: {call.refusal or call.error}")
    if history.is_probed and transactor is not None and config.max_block_ms >= _SHORT_MS:
        atomicity.examine_probe(transactor)


def _is_excused(call: Call, max_block_ms: int) -> bool:
    """Whether it was refused as the buffer has less room than calls were made, or in hardly the time to ask."""
    if isinstance(call.refusal, (BufferFullError, BufferTimeoutError)):
        return True
    return call.refusal is not None and max_block_ms < _SHORT_MS
