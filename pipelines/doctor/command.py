"""pinrec doctor: the checks as a table, as plain lines, or as JSON.

    pinrec doctor --config pipelines/configs/demo.toml
    pinrec doctor --config pipelines/configs/demo.toml --target minikube --json

Exit code 0 if nothing failed, 1 otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from pinrec_core.cli.options import AsJson
from pinrec_core.progress import counted
from pipelines.doctor.finding import Finding, Status

_STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red", Status.SKIPPED: "dim"}
Findings = list[tuple[str, Finding]]


def doctor(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (TOML).")] = None,
    target: Annotated[str, typer.Option("--target", "-t", help="A cluster of [targets]; default: this machine.")] = "",
    context: Annotated[str, typer.Option(help="kubectl's context of the cluster; default: minikube for the target "
                                              "minikube, else the current one.")] = "",
    as_json: AsJson = False,
) -> None:
    """Look whether everything is there that a run needs, and say what to do. Exits with 1 if something failed."""
    from pinrec_core.config.target import LOCAL
    from pipelines.doctor.examination import checks, examine
    from pipelines.doctor.subject import Subject

    subject = Subject.of(config, "" if target == LOCAL else target, context)
    found = examine(subject, counted(checks(subject), "look", "checks"))
    if as_json:
        findings = list(found)
        typer.echo(as_document(findings))
    elif sys.stdout.isatty():
        findings = list(found)
        _print_table(findings)
    else:
        findings = _print_lines(found)
    raise typer.Exit(int(any(finding.status is Status.FAIL for _, finding in findings)))


def as_document(findings: Findings) -> str:
    """All findings as JSON, in their order."""
    rows = [{"name": name, "status": each.status, "seen": each.seen, "limit": each.limit, "next": each.next}
            for name, each in findings]
    return json.dumps({"failed": sum(row["status"] is Status.FAIL for row in rows), "checks": rows}, indent=1)


def as_lines(name: str, finding: Finding) -> Iterator[str]:
    """One finding for a file or a pipe."""
    limit = f" (limit: {finding.limit})" if finding.limit else ""
    yield f"{finding.status:<8}{name:<10} {finding.seen}{limit}"
    if finding.next:
        yield f"{'':<19}next: {finding.next}"


def _print_lines(found: Iterable[tuple[str, Finding]]) -> Findings:
    findings = []
    for name, finding in found:
        findings.append((name, finding))
        for line in as_lines(name, finding):
            typer.echo(line)
    return findings


def _print_table(findings: Findings) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "check", "seen", "limit", "next", box=SIMPLE_HEAD)
    for name, each in findings:  # as Text: "[serve]" in a finding is a section, not markup
        table.add_row(Text(each.status, _STYLES[each.status]), name, Text(each.seen), Text(each.limit),
                      Text(each.next))
    Console().print(table)
