"""The lines of a worker, given on as lines of our own log; the last ones are kept for the message if it dies."""

from __future__ import annotations

import logging
from collections import deque

logger = logging.getLogger("pinrec")
KEPT_LINES = 15
_LEVELS = logging.getLevelNamesMapping()


class Relay:
    """Takes lines as a worker writes them ("LEVEL message", or anything) and logs them at their level."""

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=KEPT_LINES)

    def take(self, line: str) -> None:
        """Log one line; blank ones say nothing."""
        line = line.rstrip()
        if not line:
            return
        self._last.append(line)
        level, _, message = line.partition(" ")
        if level in _LEVELS and message:
            logger.log(_LEVELS[level], "%s", message)
        else:
            logger.info("%s", line)

    @property
    def last_lines(self) -> str:
        """The last lines for a message, indented, or that there were none."""
        return "\n    ".join(["last lines:", *self._last]) if self._last else "it wrote no line"
