"""`aioproducer demo --bootstrap host:port`: the same on a real Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer._cli import main

if TYPE_CHECKING:
    from aioproducer.testing import RealCluster

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_what_a_real_broker_acknowledges_is_in_its_log(
    loop: str, real_kafka: RealCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--bootstrap", real_kafka.bootstrap_servers, "--loop", loop]) == 0
    printed = capsys.readouterr().out
    assert "callback" in printed
    assert "read back: 12 records in the log, 12 of 12 as they were acknowledged" in printed
