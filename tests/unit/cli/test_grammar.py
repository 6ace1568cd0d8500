"""What all commands share: documented exit codes, examples in their help, completion, options of one meaning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from pinrec_here import pinrec

from pinrec_core.cli.entry import Settings
from pinrec_core.cli.exit_codes import MEANINGS
from pipelines.cli import whole_app

ROOT = Path(__file__).parents[3]
SHORT = {"-c": "config", "-s": "surface", "-o": "output", "-u": "user", "-n": "n", "-t": "target", "-f": "format",
         "-h": "help"}


def options() -> list[typer.core.TyperOption]:
    """Every option of every command."""
    found, groups = [], [typer.main.get_command(whole_app(Settings()))]
    while groups:
        command = groups.pop()
        groups += getattr(command, "commands", {}).values()
        found += [one for one in command.params if isinstance(one, typer.core.TyperOption)]
    return found


def test_a_short_option_means_the_same_everywhere():
    for option in options():
        for short in (name for name in option.opts if re.fullmatch("-[a-z]", name)):
            long = [name.removeprefix("--") for name in option.opts if name.startswith("--")] or [short[1:]]
            assert SHORT[short] in long, option.opts


def test_json_is_one_option_everywhere():
    assert {(tuple(one.opts), one.help) for one in options() if "--json" in one.opts} == {(("--json",), "Print JSON.")}


def test_the_exit_codes_of_the_docs_are_those_of_the_help(capsys):
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \|.*\|$", (ROOT / "docs/commands.md").read_text("utf-8"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == MEANINGS
    assert pinrec("--help") == 0
    shown = capsys.readouterr().out
    assert all(f"{code:>3}  {meaning}" in shown for code, meaning in MEANINGS.items())


def test_examples_are_whole_lines_of_the_help(capsys):
    assert pinrec("inspect", "user", "--help") == 0
    assert "  pinrec inspect user u1 -s home --registry work/mine/registry\n" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "completed"), [
    ("pinrec conf", "config"), ("pinrec config ex", "explain"), ("pinrec inspect ", "release"),
    ("pinrec config explain --js", "--json"), ("pinrec back", "backfill")])
def test_a_shell_completes_commands_and_options(words, completed):
    environment = os.environ | {"_PINREC_COMPLETE": "complete_bash", "COMP_WORDS": words,
                                "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([sys.executable, "-m", "pipelines.cli"], cwd=ROOT, env=environment, capture_output=True,
                          text=True, check=False)
    assert completed in done.stdout.split(), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(shell):
    environment = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", "--show-completion", shell], cwd=ROOT,
                          env=environment, capture_output=True, text=True, check=True)
    assert "_PINREC_COMPLETE" in done.stdout and f"complete_{shell}" in done.stdout
