"""What other clients call the things that a producer does, for who asks this one by their names."""

from __future__ import annotations

from typing import Final

NAMES: Final[dict[str, tuple[str, str]]] = {
    "abort_transaction": ("aiokafka, confluent-kafka and Java", "`abort` of what begin_transaction() returns"),
    "bootstrap_connected": ("kafka-python", "`status().is_ready`"),
    "commit_transaction": ("aiokafka, confluent-kafka and Java", "`commit` of what begin_transaction() returns"),
    "create_batch": ("aiokafka", "`send_all`; batches make themselves"),
    "init_transactions": ("confluent-kafka and Java", "`start`, with transactional_id"),
    "list_topics": ("confluent-kafka", "`partitions_for`, for one topic"),
    "metrics": ("kafka-python and Java", "`statistics`"),
    "poll": ("confluent-kafka", "nothing: callbacks are run by the event loop"),
    "produce": ("confluent-kafka", "`submit_nowait`, or `await submit(...)`, which waits for buffer memory"),
    "purge": ("confluent-kafka", "`close(timeout=0)`"),
    "send_and_wait": ("aiokafka", "`await send(...)`, which waits until the record is acknowledged"),
    "send_batch": ("aiokafka", "`send_all`; batches make themselves"),
    "send_offsets_to_transaction": ("aiokafka and Java", "`send_offsets` of the transaction"),
    "stop": ("aiokafka", "`close`"),
}
"""For a method's name elsewhere: whose it is, and what does it here."""


def explain(name: str) -> str:
    """Return the rest of a sentence about an attribute that a producer lacks; empty for a name of nobody."""
    if name not in NAMES:
        return ""
    whose, here = NAMES[name]
    return f": that is the name of {whose}; here it is {here}"
