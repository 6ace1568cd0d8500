"""pinrec registry ...: look at releases, move, freeze, clean up, check; pinrec lineage: where a release comes from."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from pinrec_core.cli.ask import DEMO_REGISTRY
from pinrec_core.cli.options import AsJson, Registry, Release
from pinrec_core.cli.registry_text import print_difference, print_list, print_release
from pinrec_core.errors import ConfigError
from pinrec_core.progress import doing

Surface = Annotated[str, typer.Argument(help="Name of the surface.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept in the history.")]
RunId = Annotated[str, typer.Option("--run-id", help="Name of the run, kept in the history.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="The releases of a registry and its aliases.")
    for name, command in (("list", list_releases), ("show", show), ("diff", diff), ("promote", promote),
                          ("rollback", rollback), ("freeze", freeze), ("unfreeze", unfreeze), ("gc", gc),
                          ("verify", verify)):
        group.command(name)(command)
    app.add_typer(group, name="registry")
    app.command("lineage")(lineage)


def list_releases(registry: Registry = DEMO_REGISTRY,
                  surface: Annotated[str, typer.Option("--surface", "-s", help="Only those of this surface.")] = "",
                  as_json: AsJson = False) -> None:
    """List the releases: surface, date, recall, size, aliases, whether verified, whether bad."""
    from pinrec_core.release.operations.inventory import listed

    with doing("read the releases"):
        found = listed(registry, surface)
    if as_json:
        _print_json([one.model_dump(mode="json") for one in found])
    else:
        print_list(found)


def show(release: Release, registry: Registry = DEMO_REGISTRY, as_json: AsJson = False,
         card: Annotated[bool, typer.Option("--card", help="Print the model card (Markdown) alone.")] = False) -> None:
    """Show everything about one release."""
    from pinrec_core.registry import whole_id
    from pinrec_core.release.operations import details

    release_id = whole_id(registry, release)
    if card:
        typer.echo(details.card(registry, release_id))
        return
    found = details.details(registry, release_id)
    if as_json:
        _print_json(found)
    else:
        print_release(found)


def diff(first: Release, second: Release, registry: Registry = DEMO_REGISTRY, as_json: AsJson = False) -> None:
    """Show what differs between two releases: facts, metrics, configuration, files."""
    from pinrec_core.registry import whole_id
    from pinrec_core.release.operations.difference import difference

    found = difference(registry, whole_id(registry, first), whole_id(registry, second))
    if as_json:
        _print_json(found.model_dump(mode="json"))
    else:
        print_difference(found)


def promote(
    releases: Annotated[list[str], typer.Argument(help="Verified releases of one verdict, one per surface.")],
    registry: Registry = DEMO_REGISTRY,
    force: Annotated[bool, typer.Option("--force", help=(
        "Overlook failed comparisons and that a release was marked bad. Floors, verification and integrity are "
        "demanded all the same, and a frozen surface stays."))] = False,
    reason: Reason = "", run_id: RunId = "manual",
) -> None:
    """Make verified releases live, all in one move, by the verdict that they carry."""
    from pinrec_core.registry import whole_id
    from pinrec_core.release.operations.promotion import promote_by_id

    if force != bool(reason):
        raise ConfigError("--force needs a --reason, and a --reason is of a --force; give both or none")
    ids = [whole_id(registry, release) for release in releases]
    typer.echo(promote_by_id(registry, ids, run_id=run_id, forced=reason))


def rollback(surface: Surface, reason: Reason, registry: Registry = DEMO_REGISTRY,
             to: Annotated[str, typer.Option("--to", help="Release to go back to. Default: the previous one.")] = "",
             run_id: RunId = "manual") -> None:
    """Make an earlier release of a surface live again, once it loads, and mark what was live as bad."""
    from pinrec_core.release.operations.rollback import rollback as run

    typer.echo(run(registry, surface, reason=reason, run_id=run_id, to=to))


def freeze(surface: Surface, reason: Reason, registry: Registry = DEMO_REGISTRY, run_id: RunId = "manual") -> None:
    """Let neither promotion nor rollback move a surface until it is unfrozen."""
    from pinrec_core.release.operations.freeze import freeze as run

    typer.echo(run(registry, surface, reason=reason, run_id=run_id))


def unfreeze(surface: Surface, registry: Registry = DEMO_REGISTRY, reason: Reason = "",
             run_id: RunId = "manual") -> None:
    """Let a surface move again."""
    from pinrec_core.release.operations.freeze import unfreeze as run

    typer.echo(run(registry, surface, reason=reason, run_id=run_id))


def gc(
    registry: Registry = DEMO_REGISTRY,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Promotions of each surface whose releases stay.")] = 3,
    older_than: Annotated[float, typer.Option("--older-than", min=0, metavar="DAYS", help=(
        "Younger releases stay: a run may be about to promote them."))] = 1.0,
    apply: Annotated[bool, typer.Option("--apply", help="Remove them; without it they are only told.")] = False,
    run_id: RunId = "manual", as_json: AsJson = False,
) -> None:
    """Remove releases that no alias and none of the last promotions needs."""
    from pinrec_core.release.operations.collect import collect

    with doing("look for what nothing needs"):
        found = collect(registry, keep=keep, older_than_days=older_than, run_id=run_id, apply=apply)
    if as_json:
        _print_json({"applied": found.applied, "bytes": found.size, "kept": [one._asdict() for one in found.kept],
                     "removed": [{"release_id": one.release_id, "size": one.size} for one in found.removed]})
        return
    for kept in found.kept:
        typer.echo(f"keep    {kept.release_id[:12]}  {kept.why}")
    for removal in found.removed:
        typer.echo(f"remove  {removal.release_id[:12]}  {removal.size:,} bytes")
    what = "removed" if found.applied else "would be removed; --apply removes them"
    typer.echo(f"{len(found.removed)} releases, {found.size:,} bytes {what}")


def verify(registry: Registry = DEMO_REGISTRY, as_json: AsJson = False) -> None:
    """Hash every file of every release and hold the aliases against them; exits with 1 if anything does not hold."""
    from pinrec_core.release.operations.audit import audit

    found = audit(registry)
    if as_json:
        _print_json([one._asdict() for one in found])
    else:
        for one in found:
            typer.echo(f"{one.where[:12]}  {one.problem}")
        typer.echo(f"{len(found)} findings" if found else "everything holds")
    if found:
        raise typer.Exit(1)


def lineage(release: Release, registry: Registry = DEMO_REGISTRY, as_json: AsJson = False,
            files: Annotated[bool, typer.Option("--files", help="Name every input file.")] = False) -> None:
    """Print the tree from a release back to its data: models, evaluation, verdict, dataset, partitions, code, image."""
    from pinrec_core.registry import whole_id
    from pinrec_core.release import stored
    from pinrec_core.release.provenance import tree

    with doing("lineage"):
        manifest = stored.release_manifest(registry, whole_id(registry, release))
        found = tree.tree(manifest, stored.stored_lineage(registry, manifest), stored.stored_built(registry, manifest))
    if as_json:
        _print_json(found.model_dump(mode="json"))
    else:
        typer.echo("\n".join(tree.lines(found, files=files)))


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=1))
