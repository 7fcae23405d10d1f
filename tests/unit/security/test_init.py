"""The public names, and what having them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aioproducer.sasl
import aioproducer.security


@pytest.mark.parametrize("module", [aioproducer.sasl, aioproducer.security])
def test_every_public_name_can_be_had(module: object) -> None:
    names: list[str] = vars(module)["__all__"]
    assert names == sorted(names)
    assert [name for name in names if not hasattr(module, name)] == []
    assert set(names) <= set(dir(module))


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = aioproducer.security.Nothing  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import aioproducer.sasl", {"anyio", "asyncio", "socket", "ssl", "threading", "time", "random"}),
        ("import aioproducer.security", {"anyio", "asyncio", "trio", "ssl", "http.client"}),
        (
            "from aioproducer.security import *",
            {"asyncio", "trio", "ssl", "http.client", "urllib.request", "cryptography", "botocore"},
        ),
    ],
)
def test_importing_loads_no_event_loop_and_nothing_of_others(statement: str, unwanted: set[str]) -> None:
    # What Python itself has loaded at its start (site, .pth files of this environment) does not count.
    program = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) & unwanted == set()
