"""When does a broker let data wait (partitioner_availability_timeout_ms)?"""

from __future__ import annotations

from tests.unit._core.accumulators import accumulator, append, drain


def test_throttling_counts_as_letting_data_wait_and_idleness_does_not() -> None:
    accumulate = accumulator({"t": [0, 1]}, batch_size=0, partitioner_availability_timeout_ms=1_000)

    def chosen(now: float) -> set[int]:
        return {append(accumulate, partition=None, now=now).partition for _ in range(40)}

    for partition in (0, 1):
        append(accumulate, partition=partition, now=0.0)
    accumulate.ready_nodes(0.0)
    drain(accumulate, 0, 0.0)
    drain(accumulate, 1, 0.0)
    # 1. Nothing is there for either broker for a hundred seconds: that is no fault of theirs.
    assert accumulate.ready_nodes(100.0) == []
    assert chosen(100.0) == {0, 1}
    # 2. Both have data. Broker 1 is throttled: it is ready, as the accumulator sees it, and is not drained.
    for now in (100.0, 100.5, 101.5):
        assert set(accumulate.ready_nodes(now)) == {0, 1}
        drain(accumulate, 0, now)
        append(accumulate, partition=0, now=now)
    assert chosen(101.5) == {0}
    # 3. The throttling is over.
    accumulate.ready_nodes(102.0)
    drain(accumulate, 1, 102.0)
    assert 1 in chosen(102.0)
