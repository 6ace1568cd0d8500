"""What the exit code of a command says; one table for `pinrec --help`, docs/commands.md and the tests."""

from __future__ import annotations

from pinrec_core.errors import EXIT_PREEMPTED

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_REJECTED, EXIT_TOO_OLD, EXIT_INTERRUPTED = 0, 1, 2, 3, 4, 130
MEANINGS = {
    EXIT_DONE: "done; of run, submit --wait and backfill: promoted, or passed",
    EXIT_FAILED: "failed, or a check found something; the last line says what and what to do",
    EXIT_USAGE: "the command line is wrong",
    EXIT_REJECTED: "rejected by the gate; what was live stays live",
    EXIT_TOO_OLD: "status --max-age-days: a live release is too old, or there is none",
    EXIT_PREEMPTED: "stopped with its place kept, or a service is away: the same command goes on",
    EXIT_INTERRUPTED: "stopped by Ctrl-C",
}


def told() -> str:
    """As text for a terminal, lines kept as they are."""
    return "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items())
