"""How the process of a step ended, in words: killed, out of time, out of memory, and what to raise."""

from __future__ import annotations

import re
import signal
from typing import NamedTuple

from pinrec_core.training.memory import peak_kib

_MEMORY = re.compile(r"MemoryError|OutOfMemory|out of memory|can't allocate memory|not enough memory")
_SHELL = 128  # a shell, and so a pod, tells signal N as exit code 128 + N


class StepEnd(NamedTuple):
    """The end of a process that could not say itself why."""

    code: int  # exit code; -N = ended by signal N
    peak_kib: int = 0  # most memory it had at once (resident); 0 = not known
    limit_s: float = 0.0  # the time limit that it passed; 0 = none

    @property
    def signal(self) -> int:
        """Number of the signal that ended it, 0 if none did."""
        return -self.code if self.code < 0 else max(0, self.code - _SHELL)


def end_in_words(step: str, end: StepEnd) -> str:
    """One sentence for an end by a signal or a time limit."""
    if end.limit_s:
        return (f"took longer than its limit of {end.limit_s:g} s and was ended with all that it had started; raise "
                f"the limit ({limit_of(step, 'timeout_s')}; here --step-timeout) or give it less to do")
    how = f"was killed ({_name(end.signal)}, exit code {_SHELL + end.signal})"
    if end.signal != signal.SIGKILL:
        return f"{how}; {_used(end.peak_kib)}; the last lines of its log are all that it has said"
    return f"{how}, as the kernel does when memory runs out; {_used(end.peak_kib)}; {more_memory(step)}"


def is_memory_error(error: BaseException) -> bool:
    """Whether memory ran out: for Python, numpy and Arrow a MemoryError, for torch and a worker's echo the text."""
    return isinstance(error, MemoryError) or bool(_MEMORY.search(f"{type(error).__name__}: {error}"))


def memory_in_words(step: str, error: BaseException) -> str:
    """One sentence for a step of this process that ended with an error that `is_memory_error`."""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return f"memory ran out ({said.rstrip(': ')}); {_used(peak_kib())}; {more_memory(step)}"


def more_memory(step: str) -> str:
    """What to raise."""
    return f"give it more ({limit_of(step, 'memory')}; here free some) or less to do"


def limit_of(step: str, key: str) -> str:
    """Name of the setting of a step, such as "finetune home", on a cluster."""
    return f"on a cluster targets.NAME.steps.{step.split()[0].replace('-', '_')}.{key}"


def _used(peak_kib: int) -> str:
    return f"it had {peak_kib / 1024:.0f} MiB at its peak" if peak_kib else "how much it had is not known"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
