"""The examples that each command's help shows: real command lines, which tests/e2e/test_examples.py runs in this order.

`mine.toml` is a configuration of your own with one surface "home"; its work folder is work/mine. `$(...)` and
RELEASE=... are those of a shell; pipelines/examples.py has those of the other commands.
"""

from __future__ import annotations

from collections.abc import Iterator

import typer
from typer.models import CommandInfo

Examples = dict[str, tuple[str, ...]]  # command path -> lines

_STEPS = "work/mine/steps"
_DATA = "--events work/mine/data/events --catalog work/mine/data/catalog"
_WITH = f"-c mine.toml --dataset {_STEPS}/dataset"
_REGISTRY = "--registry work/mine/registry"
_RUNS = "work/mine/registry/runs"

EXAMPLES: Examples = {
    "import kuairand": ("pinrec import kuairand KuaiRand-Pure work/kuairand/data",),
    "import amazon": ("pinrec import amazon Beauty work/beauty/data",),
    "import events": (
        "pinrec import events log.csv work/csv/data --map user_id=uid --map item_id=sku --map timestamp=time "
        "--map timestamp_unit=iso --map surface_constant=home --map item_type_constant=pin "
        "--map action_constant=click",),
    "synth": ("pinrec synth work/mine/data --world tiny --users 60 --items 100 --days 12",),
    "aggregate-logs": (f"pinrec aggregate-logs -c mine.toml {_DATA} -o {_STEPS}/dataset",),
    "validate-data": (f"pinrec validate-data {_WITH} -o {_STEPS}/validation",),
    "data suggest-rules": (f"pinrec data suggest-rules --dataset {_STEPS}/dataset --margin 0.5",),
    "config validate": ("pinrec config validate mine.toml", f"pinrec config validate mine.toml {_DATA}",
                        f"pinrec config validate mine.toml --dataset {_STEPS}/dataset --positions-per-s 10000"),
    "config show": ("pinrec config show mine.toml", "pinrec config show mine.toml --changed --json"),
    "config diff": ("pinrec config diff pipelines/configs/tiny.toml mine.toml",),
    "config explain": ("pinrec config explain pretrain.batch_size", "pinrec config explain seed --json",
                       "pinrec config explain"),
    "pretrain": (f"pinrec pretrain {_WITH} -o {_STEPS}/base",),
    "finetune": (f"pinrec finetune {_WITH} --base {_STEPS}/base -s home -o {_STEPS}/home",),
    "evaluate": (f"pinrec evaluate {_WITH} --model {_STEPS}/home -s home {_REGISTRY} -o {_STEPS}/evaluation-home",),
    "tune": (f"pinrec tune {_WITH} -s home --trials 2",),
    "gate": (f"pinrec gate -c mine.toml {_STEPS}/evaluation-home -o {_STEPS}/verdict "
             f"--validation {_STEPS}/validation",
             f"pinrec gate -c strict.toml {_STEPS}/evaluation-home -o {_STEPS}/rejected"),
    "build-index": (f"RELEASE=$(pinrec build-index {_WITH} --verdict {_STEPS}/verdict {_REGISTRY} -s home)",),
    "verify-release": (f"pinrec verify-release {_WITH} {_REGISTRY} $RELEASE",),
    "promote": (f"pinrec promote --verdict {_STEPS}/verdict {_REGISTRY} $RELEASE",),
    "reject": (f"pinrec reject --verdict {_STEPS}/rejected",),
    "recommend": (f"pinrec recommend -s home -u u1 {_REGISTRY}",
                  f"pinrec recommend -s home -u u1 {_REGISTRY} --outcome click=0.5 --outcome save=0.5 -n 5 --json"),
    "index refresh": (f"pinrec index refresh {_REGISTRY} -s home --catalog work/mine/data/catalog "
                      f"--dataset {_STEPS}/dataset",),
    "inspect user": (f"pinrec inspect user u1 -s home {_REGISTRY}",
                     f"pinrec inspect user u1 -s home --before home:previous {_REGISTRY} --json"),
    "inspect item": (f"pinrec inspect item p1 -s home {_REGISTRY}",
                     f"pinrec inspect item p1 -s home --user u1 {_REGISTRY} --json"),
    "inspect release": (f"pinrec inspect release home:live {_REGISTRY}",
                        f"pinrec inspect release home:live --before home:previous {_REGISTRY} --json"),
    "registry list": (f"pinrec registry list {_REGISTRY}", f"pinrec registry list -s home {_REGISTRY} --json"),
    "registry show": (f"pinrec registry show home:live {_REGISTRY}",
                      f"pinrec registry show home:live --card {_REGISTRY}"),
    "registry diff": (f"pinrec registry diff home:previous home:live {_REGISTRY}",),
    "lineage": (f"pinrec lineage home:live {_REGISTRY}", f"pinrec lineage home:live --files --json {_REGISTRY}"),
    "registry verify": (f"pinrec registry verify {_REGISTRY}",),
    "registry rollback": (f'pinrec registry rollback home --reason "clicks fell by a tenth" {_REGISTRY}',),
    "registry promote": (f'pinrec registry promote $RELEASE --force --reason "it was the log" {_REGISTRY}',),
    "registry freeze": (f'pinrec registry freeze home --reason "holiday" {_REGISTRY}',),
    "registry unfreeze": (f"pinrec registry unfreeze home {_REGISTRY}",),
    "registry gc": (f"pinrec registry gc {_REGISTRY}", f"pinrec registry gc --keep 2 --apply {_REGISTRY}"),
    "notify": (f"pinrec notify $(ls -d {_RUNS}/* | tail -n 1)",),
    "compare": (f"pinrec compare $(ls {_RUNS} | head -n 1) $(ls {_RUNS} | tail -n 1) {_REGISTRY}",),
    "demo": ("pinrec demo -c mine.toml",),
    "serve": ("pinrec serve -c mine.toml", f"pinrec serve {_REGISTRY} --port 0 --workers 2"),
}


def show_examples(app: typer.Typer, examples: Examples) -> None:
    """Put examples at the end of their commands' help. Raises KeyError for a command that the application has not."""
    commands = dict(_commands(app, ""))
    for path, lines in examples.items():
        commands[path].epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _commands(app: typer.Typer, above: str) -> Iterator[tuple[str, CommandInfo]]:
    for command in app.registered_commands:
        yield above + str(command.name), command
    for group in app.registered_groups:
        yield from _commands(group.typer_instance, f"{above}{group.name} ")
