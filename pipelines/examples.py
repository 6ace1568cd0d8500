"""Examples of the commands that pipelines adds, shown and run as those of pinrec_core/cli/examples.py."""

from __future__ import annotations

from pinrec_core.cli.examples import Examples

EXAMPLES: Examples = {
    "run": ("pinrec run -c mine.toml --date 2026-01-11",),
    "status": ("pinrec status -c mine.toml", "pinrec status -c mine.toml --json"),
    "backfill": ("pinrec backfill 2026-01-10 2026-01-10 -c mine.toml", "pinrec backfill 2026-01-10 2026-01-11 "
                 "-c mine.toml --target minikube --promote --json"),
    "compile": ("pinrec compile", "pinrec compile -c mine.toml --target minikube --format resources"),
    "doctor": ("pinrec doctor", "pinrec doctor -c mine.toml --json"),
    "submit": ("pinrec submit -c mine.toml --target minikube --date 2026-01-11 --wait",),
    "schedule apply": ("pinrec schedule apply -c mine.toml", "pinrec schedule apply -c mine.toml -t minikube --prune"),
    "schedule list": ("pinrec schedule list -c mine.toml --json",),
    "schedule pause": ("pinrec schedule pause nightly -c mine.toml",),
    "schedule resume": ("pinrec schedule resume nightly -c mine.toml",),
    "schedule delete": ("pinrec schedule delete nightly -c mine.toml",),
}
