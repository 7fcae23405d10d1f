from __future__ import annotations

import pytest

from aioproducer import Producer


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"transactional_id": "billing"}, "producer-billing"),
        ({"transactional_id": "billing", "client_id": "mine"}, "mine"),
        ({"client_id": ""}, ""),
    ],
)
def test_the_client_id_follows_from_the_transactional_id_unless_it_is_given(
    settings: dict[str, str], name: str
) -> None:
    producer = Producer.from_config({"bootstrap_servers": "localhost:9092", **settings})
    assert repr(producer) == f"<Producer {name} new>"


def test_producers_without_any_id_are_numbered() -> None:
    first, second = (Producer(bootstrap_servers="localhost:9092") for _ in range(2))
    number = int(repr(first).split()[1].removeprefix("producer-"))
    assert repr(second) == f"<Producer producer-{number + 1} new>"
