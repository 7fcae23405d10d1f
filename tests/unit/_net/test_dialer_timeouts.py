"""_net/dialer.py: what is too slow, in trio's virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio.testing

from aioproducer._net.dialer import Dialer
from aioproducer._net.setup import NO_STEPS, SetupSteps
from aioproducer.errors import ConnectionTimeoutError
from tests.unit._net.mask import HELLO, Login, MaskStep, record
from tests.unit._net.script import Script
from tests.unit._net.test_dialer import api_versions

if TYPE_CHECKING:
    from anyio.abc import ByteStream


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Silent(Script):
    """Answers some, then nothing."""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self.answers:
            await anyio.sleep_forever()
        return await super().receive(max_bytes)


@pytest.mark.parametrize(
    ("steps", "answers", "step"),
    [
        (NO_STEPS, (), "ApiVersions"),
        (SetupSteps(secure=MaskStep()), (), "masking"),
        (SetupSteps(secure=MaskStep()), (record(HELLO),), "ApiVersions"),
        (SetupSteps(authenticate=Login()), (api_versions(),), "login"),
    ],
)
@pytest.mark.parametrize("bound", ["all steps", "each step"])
async def test_a_timeout_names_the_step_it_waited_for(
    steps: SetupSteps, answers: tuple[bytes, ...], step: str, bound: str
) -> None:
    stream = Silent(*answers)

    async def connector(host: str, port: int) -> ByteStream:
        return stream

    dialer = Dialer(connector, "me", anyio.current_time, None if bound == "all steps" else 0.5, steps)
    with pytest.raises(
        ConnectionTimeoutError, match=rf"^broker:9092 was not ready within 0\.5 s \(waiting for {step}\);"
    ):
        await dialer.dial("broker", 9092, 0.5 if bound == "all steps" else 30)
    assert stream.is_closed
