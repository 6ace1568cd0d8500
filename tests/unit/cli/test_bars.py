"""What one sees of a command that takes its time: a bar on a terminal, lines in a pipe, nothing if it is quick."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from quoted import says

from pinrec_core.cli.progress import Board, _Lines, _worth_showing, told_count, told_time
from pinrec_core.progress import Stage, counted, doing, watched, watched_by

ROOT = Path(__file__).parents[3]
TINY = str(ROOT / "pipelines/configs/tiny.toml")
CLEARED = "\r\x1b[1A\x1b[2K"  # how rich takes its line away: down, up, erase
NAMES = ("synth", "import", "aggregate", "validate", "compile")
DONE_FOR = """
import signal, time, typer
from pinrec_core.cli import progress
from pinrec_core.cli.entry import Settings, execute
from pinrec_core.errors import DataError
from pinrec_core.progress import doing
progress.QUIET_S = 0.0
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell runs in the background is born deaf to it
app = typer.Typer()

@app.command()
def command(fails: bool = False):
    with doing("wait"):
        time.sleep(0.5 if fails else 60)
        raise DataError("x")

raise SystemExit(execute(app, Settings(), %r))
"""
DRIVER = """
import json, sys
from pinrec_core.cli import progress
from pinrec_core.cli.entry import Settings, execute
from pipelines.cli import whole_app
quiet, commands = json.loads(sys.argv[1])
progress.QUIET_S, progress.FRESH_S, progress._Bar.PAUSE_S, progress._Lines.PAUSE_S = quiet, quiet / 2, 0.01, 0.01
for command in commands:
    print("== of", command[0], flush=True, file=sys.stderr)
    settings = Settings()
    print(execute(whole_app(settings), settings, command), flush=True)
"""


def commands(folder: Path) -> list[list[str]]:
    """Those that can be run on nothing but a small world."""
    world, data, events = str(folder / "world"), str(folder / "data"), str(folder / "rows.csv")
    rows = (f"u{n % 40},p{n % 90},{1767225600 + 60 * n}\n" for n in range(9000))
    Path(events).write_text("who,what,at\n" + "".join(rows))
    mapped = {"user_id": "who", "item_id": "what", "timestamp": "at", "timestamp_unit": "s", "surface_constant": "home",
              "item_type_constant": "pin", "action_constant": "click"}
    return [["synth", world, "--world", "tiny"],
            ["import", "events", events, str(folder / "mine"), *(f"--map={name}={of}" for name, of in mapped.items())],
            ["aggregate-logs", "-c", TINY, "--events", f"{world}/events", "--catalog", f"{world}/catalog", "-o", data],
            ["validate-data", "-c", TINY, "--dataset", data, "-o", str(folder / "validation")],
            ["compile", "-o", str(folder / "pipeline.yaml")]]


def driven(folder: Path, quiet: float, *, terminal: bool) -> tuple[str, str]:
    """Standard output and error of all commands, run one after the other in one process."""
    folder.mkdir()
    ours, theirs = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", DRIVER, json.dumps([quiet, commands(folder)])], stderr=theirs,
                               stdout=subprocess.PIPE, text=True, env=environment())
    os.close(theirs)
    shown: list[str] = []
    reader = threading.Thread(target=lambda: shown.append(everything(ours)))
    reader.start()
    out = process.communicate()[0]
    reader.join()
    os.close(ours)
    return out, shown[0]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"PYTHONPATH": str(ROOT),
                                                                                       "TERM": "xterm"}


def everything(descriptor: int) -> str:
    """What comes until the other side is closed."""
    content = b""
    with contextlib.suppress(OSError):  # how Linux tells that of a terminal
        while chunk := os.read(descriptor, 65536):
            content += chunk
    return content.decode()


@pytest.fixture(scope="module")
def slow(tmp_path_factory) -> dict[bool, tuple[str, list[str]]]:
    """By whether it is a terminal: standard output of commands that all take too long, and standard error of each."""
    folder = tmp_path_factory.mktemp("slow")
    found = {terminal: driven(folder / str(terminal), 0.02, terminal=terminal) for terminal in (True, False)}
    return {terminal: (out.replace(f"{folder}/{terminal}", "FOLDER"), re.split("== of .*\n", err)[1:])
            for terminal, (out, err) in found.items()}


@pytest.mark.parametrize(("place", "name"), [*enumerate(NAMES)])
def test_a_bar_on_a_terminal_is_drawn_and_gone_in_the_end(slow, place, name):
    text = slow[True][1][place]
    drawn = [line for line in re.split(r"[\r\n]", text) if "━" in line]
    assert drawn and all(name in line for line in drawn), text
    assert CLEARED in text and "━" not in text.rpartition(CLEARED)[2]
    assert "\x1b[?25l" not in text, "the cursor stays visible"


@pytest.mark.parametrize(("place", "name"), [*enumerate(NAMES)])
def test_lines_in_a_pipe(slow, place, name):
    text = slow[False][1][place]
    assert re.search(rf"^[\d:]{{8}} INFO {name}, ", text, re.MULTILINE), text
    assert "\x1b" not in text and "━" not in text and "\r" not in text


def test_standard_output_is_the_same_without_a_word_of_progress(slow):
    assert slow[True][0] == slow[False][0]
    assert "rows_in" in slow[True][0] and " left" not in slow[True][0] and slow[True][0].endswith("\n0\n")


def test_what_is_quick_is_silent(tmp_path):
    for terminal in (True, False):
        _, err = driven(tmp_path / str(terminal), 60.0, terminal=terminal)
        assert "━" not in err and "\x1b" not in err
        assert not re.search(r" INFO (synth|import|aggregate|validate|compile), ", err)


@pytest.mark.parametrize(("number", "code", "last"), [
    (signal.SIGTERM, -signal.SIGTERM, ""), (signal.SIGINT, 130, ""), (0, 1, "error: x\r\n")])
def test_what_is_killed_stopped_or_fails_leaves_the_terminal_clean(number, code, last):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", DONE_FOR % ([] if number else ["--fails"],)], stderr=theirs,
                               env=environment())
    os.close(theirs)
    text = b""
    while b"wait" not in text:
        text += os.read(ours, 4096)
    if number:
        process.send_signal(number)
    text += everything(ours).encode()
    os.close(ours)
    assert process.wait() == code
    assert text.decode().endswith(CLEARED + last), text[-80:]


def test_lines_come_more_rarely_the_longer_it_takes(caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lines, outer, stage, at = _Lines(0.0), Stage("import"), Stage("read", 4_000_000_000, "bytes"), []
    with caplog.at_level(logging.INFO, "pinrec"):
        for second in range(2, 1000):
            now[0] = float(second)
            stage(1_000_000 * second)
            lines.show([outer, stage])
            at += [second] * (len(caplog.messages) - len(at))
    assert at[:3] == [2, 12, 22] and {60} == {b - a for a, b in zip(at[-4:], at[-3:], strict=False)}
    says("import, read: 12.0 of 4,000.0 MB, 1 h 06 min left", caplog.messages[1])


def test_counts_and_times(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    resumed, unknown = Stage("train", 1000, "steps", first=900), Stage("read")
    now[0] = 110.0
    assert (told_time(resumed), told_time(unknown), told_count(unknown, 0)) == ("10 s", "10 s", "")
    resumed(920)
    assert (told_time(resumed), told_count(resumed, 920)) == ("40 s left", "920 of 1,000 steps")
    assert told_count(Stage("read", 2_000_000, "bytes"), 500_000) == "0.5 of 2.0 MB"


def test_a_watcher_hears_of_stages_within_stages_and_else_nobody_does(monkeypatch):
    monkeypatch.setattr(Board, "_run", lambda *_: None)
    board, seen = Board(sys.stderr), []
    with watched_by(board), contextlib.suppress(ValueError), doing("outer"):
        for item in counted("abc", "letters"):
            seen.append((item, [(stage.what, stage.done, stage.total) for stage in board._stages]))
            if item == "b":
                raise ValueError
    assert seen[1] == ("b", [("outer", 0, None), ("letters", 1, 3)])
    assert not board._stages and not watched()
    outer, inner = Stage("train"), Stage("train", 7)
    inner.began -= 5.0
    assert (_worth_showing([]), _worth_showing([outer, inner, Stage("new")])) == ([], [inner])
    with doing("alone", 3) as told:
        told(1)
    assert told.done == 1
