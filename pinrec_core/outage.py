"""Object storage that is lost for a while: how long it is waited for, and what is said if it does not come back.

    PINREC_STORAGE_WAIT_S=120     seconds for which a request to gs:// is tried again
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pinrec_core.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from google.api_core.retry import Retry

WAIT = "PINREC_STORAGE_WAIT_S"
WAIT_S = 120.0  # if the variable is not set
FIRST_S, LONGEST_S = 0.5, 8.0  # mean pauses between attempts: doubled from the first to the longest


def wait_s() -> float:
    """Seconds for which a request is tried again. Raises ConfigError if the variable holds no number from 0."""
    text = os.environ.get(WAIT, "") or str(WAIT_S)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{WAIT} is {text!r}; set a number of seconds from 0, such as {WAIT_S:g}")
    return seconds


def patience() -> Retry:
    """What a request to object storage is tried again by: no connection, no answer, 408, 429, 5xx."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_delay(initial=FIRST_S, maximum=LONGEST_S).with_timeout(wait_s())


@contextlib.contextmanager
def lost_storage_told(uri: str) -> Iterator[None]:
    """Raise StorageError, one line, for whatever object storage did not do for `uri` in the block."""
    from google.api_core.exceptions import GoogleAPIError, RetryError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except RetryError as error:
        raise StorageError(
            f"{uri}: the storage did not answer for {wait_s():g} s ({_reason(error.cause)}); start the run again once "
            f"it does, or set {WAIT} to wait longer") from error
    except (GoogleAPIError, GoogleAuthError) as error:
        raise StorageError(f"{uri}: the storage refused: {_reason(error)}; check the address, and what the account "
                           "that runs this may do there") from error


def _reason(error: BaseException | None) -> str:
    """The innermost reason of a chain of errors, in one line."""
    while isinstance(getattr(error, "reason", None), BaseException) or _wrapped(error):
        error = _wrapped(error) or error.reason
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def _wrapped(error: BaseException | None) -> BaseException | None:
    first = error.args[0] if error is not None and error.args else None
    return first if isinstance(first, BaseException) else None
