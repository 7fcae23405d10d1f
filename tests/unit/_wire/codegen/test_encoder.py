"""What the source of an encoder looks like."""

from __future__ import annotations

from aioproducer._wire.codegen import encoder_source
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponsePartition


def test_neighbours_of_fixed_width_are_one_struct() -> None:
    encoder = encoder_source(MetadataResponsePartition, 12, flexible=True)
    assert "(m.error_code, m.partition_index, m.leader_id, m.leader_epoch))" in encoder


def test_fields_that_a_version_lacks_are_compared_with_their_default_and_not_written() -> None:
    refusal = "if m.allow_auto_topic_creation != True: raise not_in('MetadataRequest', 'allow_auto_topic_creation', 3)"
    encoder = encoder_source(MetadataRequest, 3, flexible=False)
    assert refusal in encoder
    assert "allow_auto_topic_creation" not in encoder.replace(refusal, "")
