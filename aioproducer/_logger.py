"""The loggers of this package: as those of `logging`, but that nothing which a handler raises comes out of a call.

A handler is the application's code, called in the middle of whatever is told: of a poll, of the end of a connection.
Where its exception came out, the rest of that was left undone. It costs its line instead.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class GuardedLogger(_Adapter):
    """A logger whose calls raise nothing but what ends the program."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Leave `extra` as it is given: the adapter's own would replace it."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """As `logging.Logger.log`."""
        if not self.logger.isEnabledFor(level):
            return
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the caller's line, not this one
        try:
            self.logger.log(level, msg, *args, **kwargs)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # also CancelledError: nothing was awaited, so that it is none of a task's
            pass


def get_logger(name: str) -> GuardedLogger:
    """Return the logger of that name, guarded."""
    return GuardedLogger(logging.getLogger(name), {})
