"""The command line of a benchmark that measures surfaces: arguments in, tables and JSON out."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from rich.console import Console

from pinrec_core.errors import PinrecError
from pinrec_core.storage import write_bytes


class Command(NamedTuple):
    """A command that measures surfaces."""

    script: str
    parser: argparse.ArgumentParser  # with --threads and --json
    measure: Callable[[argparse.Namespace], dict[str, Any]]
    print_surface: Callable[[str, dict[str, Any], Console], None]
    columns: int  # of its tables


def run(command: Command, arguments: list[str] | None) -> int:
    """Parse arguments, run, print the tables, write the JSON; 2 after a mistake that a person can mend."""
    told = sys.argv[1:] if arguments is None else arguments
    given = command.parser.parse_args(told)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    torch.set_num_threads(given.threads)
    try:
        document = {"command": " ".join(["python", command.script, *told]), **command.measure(given)}
    except PinrecError as error:
        print(error, file=sys.stderr)
        return 2
    for name, part in document["surfaces"].items():
        command.print_surface(name, part, Console(width=command.columns))
    if given.json:
        write_bytes(str(given.json), json.dumps(document, indent=1, allow_nan=False).encode())
    return 0
