"""What the tests of the simulation share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.__main__ import quiet as quietly

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def quiet() -> Iterator[None]:
    """Nothing is logged and no garbage collected meanwhile: both cost more than the histories can bear."""
    with quietly():
        yield
