"""The decorator that tells mypyc what it cannot see: it is read in the source, and does nothing when it runs.

The real one is in mypy_extensions, which nobody needs at run time. This module is not compiled itself: mypyc takes
what stands in its second branch for unreachable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**attributes):
        """Return the class as it is."""
        return lambda cls: cls


__all__ = ["mypyc_attr"]
