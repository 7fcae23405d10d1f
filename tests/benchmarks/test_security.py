"""The benchmark of TLS runs: a moment of each of its programs, against the sink."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import pytest

from benchmarks import security
from benchmarks.brokers import sink
from benchmarks.order import Order
from benchmarks.worker import work

if TYPE_CHECKING:
    from collections.abc import Iterator

MOMENT: Final = 0.02


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a sink that speaks TLS, and the file of its CA."""
    folder = tmp_path_factory.mktemp("tls")
    security.write_certificates(folder)
    with sink(certificate=str(folder / "sink.pem")) as address:
        yield address, str(folder / "ca.pem")


@pytest.mark.parametrize("client", ["aioproducer", "confluent-kafka"])
def test_clients_speak_tls(encrypted: tuple[str, str], client: str) -> None:
    bootstrap, ca = encrypted
    order = Order(client, "pipelined", bootstrap, "tls-p6", seconds=MOMENT, ca=ca)
    assert work(order)["records_per_s"] > 0


def test_a_connection_costs_something(encrypted: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "CONNECTIONS", 3)
    assert anyio.run(security.connect, *encrypted) > 0


def test_the_loop_is_held_for_something(encrypted: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "STARTS", 1)
    assert anyio.run(security.held, *encrypted) > 0
    assert anyio.run(security.held, encrypted[0], "") > 0


def test_rounds_alternate(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(order: Order) -> dict[str, float]:
        ran.append(order.client)
        return {"number": float(len(ran))}

    monkeypatch.setattr(security, "run", run)
    orders = {name: Order(name, "pipelined", "b:1", "t") for name in ("one", "two")}
    found = security.alternating(orders, 3)
    assert ran == ["one", "two", "two", "one", "one", "two"]
    assert [figures["number"] for figures in found["two"]] == [2, 3, 6]


def test_certificates_are_for_nobody_else(tmp_path: Path) -> None:
    security.write_certificates(tmp_path)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
