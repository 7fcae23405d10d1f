"""The snapshots tell what a person asks first."""

from __future__ import annotations

from tests.unit._core.harness import Shell


def test_status_tells_of_every_broker() -> None:
    shell = Shell().start()
    shell.send()
    status = shell.sender.status(shell.now)
    assert (status.cluster_id, status.topics, status.producer_id, status.fatal_error) == ("c", 1, 7, None)
    by_id = {broker.node_id: broker for broker in status.brokers}
    assert (by_id[1].host, by_id[1].port, by_id[1].state, by_id[1].requests_in_flight) == ("host1", 9092, "READY", 1)
    assert by_id[-1].state == "DISCONNECTED"


def test_status_tells_of_throttling_and_the_last_failure() -> None:
    shell = Shell().start()
    shell.send()
    shell.refuse(0, base_offset=0, throttle_time_ms=1500)
    assert shell.sender.status(shell.now).brokers[1].throttled_seconds == 1.5
    shell.break_connection()
    assert "reset by peer" in str(shell.sender.status(shell.now).brokers[1].last_error)


def test_statistics_tell_when_metadata_was_refreshed() -> None:
    shell = Shell()
    assert shell.sender.statistics().metadata_at is None
    shell.start()
    assert shell.sender.statistics().metadata_at == shell.now


def test_statistics_count_from_the_start() -> None:
    shell = Shell().start()
    shell.send()
    assert shell.sender.statistics().requests_in_flight == 1
    shell.refuse(2)
    assert (shell.sender.statistics().batch_retries, shell.sender.statistics().requests_in_flight) == (1, 0)
