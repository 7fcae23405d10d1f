"""What may happen to the connection to one broker."""

from __future__ import annotations

import pytest

from aioproducer._core.cluster.node import TRANSITIONS, Node, NodeEvent, NodeState


@pytest.mark.parametrize("state", NodeState)
@pytest.mark.parametrize("event", NodeEvent)
def test_transition_is_in_the_table_or_an_error(state: NodeState, event: NodeEvent) -> None:
    node = Node(1, "h", 1, state=state)
    expected = TRANSITIONS.get((state, event))
    if expected is None:
        with pytest.raises(AssertionError, match=f"{event.name} cannot happen in state {state.name}"):
            node.move(event)
    else:
        node.move(event)
        assert node.state is expected
