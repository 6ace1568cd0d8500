"""Runs a command in this process."""

from __future__ import annotations

from pinrec_core.cli.entry import Settings, build_app, execute


def pinrec(*arguments: str) -> int:
    """Run one command of pinrec_core; its exit code."""
    settings = Settings()
    return execute(build_app(settings), settings, arguments)
