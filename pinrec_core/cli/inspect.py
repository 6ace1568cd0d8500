"""pinrec inspect: why a release answers as it does."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pinrec_core.cli.ask import DEMO_REGISTRY, shares_of
from pinrec_core.cli.options import AsJson, Registry, Release
from pinrec_core.progress import doing

if TYPE_CHECKING:
    from pinrec_core.release.inspect.asked import Question
    from pinrec_core.release.load import LoadedRelease

Surface = Annotated[str, typer.Option("--surface", "-s", help="Surface whose live release is looked at.")]
Of = Annotated[str, typer.Option("--release", help="Another release than the live one: an id or SURFACE:previous.")]
Before = Annotated[str, typer.Option("--before", help=(
    "Also tell what changed from this release: an id or SURFACE:previous."))]
N = Annotated[int, typer.Option("-n", min=1, help="Items wanted.")]
Seen = Annotated[bool, typer.Option("--exclude-seen", help="Leave out what is in the user's history.")]
Outcomes = Annotated[list[str], typer.Option("--outcome", metavar="ACTION=SHARE", help=(
    "Share of the list to spend on an outcome; repeat it. Default: the configured budgets."))]


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Why a release answers as it does.")
    for command in (user, item, release):
        group.command(command.__name__)(command)
    app.add_typer(group, name="inspect")


def user(
    user_id: Annotated[str, typer.Argument(metavar="USER", help="User id, as in the event log.")],
    surface: Surface, of: Of = "", before: Before = "", outcomes: Outcomes = [], n: N = 20,  # noqa: B006
    exclude_seen: Seen = False, registry: Registry = DEMO_REGISTRY, as_json: AsJson = False,
) -> None:
    """Print a user's history, the queries generated from it, what each of them found; and what another release gave."""
    from pinrec_core.cli.inspect_text import print_change, print_user
    from pinrec_core.release.inspect.asked import Question, ask
    from pinrec_core.release.inspect.change import change, check_same_surface
    from pinrec_core.release.inspect.user import inspect_user

    question = Question(user_id=user_id, outcomes=shares_of(outcomes), n=n, exclude_seen=exclude_seen)
    with ExitStack() as stack:
        opened = _opened(stack, registry, of or f"{surface}:live", surface)
        told = inspect_user(ask(opened, question))
        changed = None
        if before:
            earlier = _opened(stack, registry, before)
            check_same_surface(earlier, opened)
            changed = change(inspect_user(ask(earlier, question)), told)
    if as_json:
        _print_json(told.model_dump(mode="json") | ({"change": changed.model_dump(mode="json")} if changed else {}))
        return
    print_user(told)
    if changed:
        print_change(changed)


def item(
    item_id: Annotated[str, typer.Argument(metavar="ITEM", help="Item id, as in the catalog.")],
    surface: Surface,
    user_id: Annotated[str, typer.Option("--user", "-u", help=(
        "Also tell why this user's list has the item or not, and its exact rank and score."))] = "",
    of: Of = "", outcomes: Outcomes = [], n: N = 20, exclude_seen: Seen = False,  # noqa: B006
    item_types: Annotated[list[str], typer.Option("--item-type", help=(
        "The user's list has only items of this type; repeat it."))] = [],  # noqa: B006
    registry: Registry = DEMO_REGISTRY, as_json: AsJson = False,
) -> None:
    """Print what a release knows of an item, its neighbours, and why a user's list has it or not."""
    from pinrec_core.cli.inspect_text import print_item, print_whereabouts
    from pinrec_core.release.inspect.absence import whereabouts
    from pinrec_core.release.inspect.asked import Question
    from pinrec_core.release.inspect.item import inspect_item

    question = Question(user_id=user_id, outcomes=shares_of(outcomes), n=n, exclude_seen=exclude_seen,
                        item_types=tuple(item_types))
    with ExitStack() as stack:
        opened = _opened(stack, registry, of or f"{surface}:live", surface)
        told = inspect_item(opened, item_id)
        where = whereabouts(_asked(opened, question), item_id) if user_id else None
    if as_json:
        _print_json(told.model_dump(mode="json") | ({"for_user": where.model_dump(mode="json")} if where else {}))
        return
    print_item(told)
    if where:
        print_whereabouts(where)


def release(
    release: Release, before: Before = "",
    users: Annotated[int, typer.Option("--users", min=1, help="With --before: how many users' lists.")] = 200,
    n: N = 20, registry: Registry = DEMO_REGISTRY, as_json: AsJson = False,
) -> None:
    """Print a release's card with its figures and its lineage; and how much of users' lists is new since another."""
    from pinrec_core.cli.inspect_text import print_overlap
    from pinrec_core.registry import whole_id
    from pinrec_core.release import stored
    from pinrec_core.release.operations import details
    from pinrec_core.release.provenance import tree

    release_id = whole_id(registry, release)
    manifest = stored.release_manifest(registry, release_id)
    lineage = tree.tree(manifest, stored.stored_lineage(registry, manifest), stored.stored_built(registry, manifest))
    found = _overlap(registry, before, release_id, users, n) if before else None
    if as_json:
        _print_json(details.details(registry, release_id) | {"lineage": lineage.model_dump(mode="json")} |
                    ({"change": found.model_dump(mode="json")} if found else {}))
        return
    typer.echo(details.card(registry, release_id))
    typer.echo("## Lineage\n\n" + "\n".join(tree.lines(lineage, files=False)))
    if found:
        print_overlap(found)


def _overlap(registry: str, before: str, release_id: str, users: int, n: int) -> Any:
    from pinrec_core.release.inspect.change import overlap

    with ExitStack() as stack:
        pair = [_opened(stack, registry, name) for name in (before, release_id)]
        return overlap(*pair, users=users, n=n)


def _asked(opened: LoadedRelease, question: Question) -> Any:
    from pinrec_core.release.inspect.asked import ask

    return ask(opened, question)


def _opened(stack: ExitStack, registry: str, name: str, surface: str = "") -> LoadedRelease:
    """A release of a registry; of this surface, where one is asked for."""
    from pinrec_core.errors import ConfigError
    from pinrec_core.registry import whole_id
    with doing(f"load {name}"):
        from pinrec_core.release.inspect.asked import opened

        found = stack.enter_context(opened(registry, whole_id(registry, name)))
    if surface and found.surface != surface:
        raise ConfigError(f"release {found.release_id[:12]} is of surface {found.surface!r}, asked for is {surface!r}; "
                          f"pass --surface {found.surface}")
    return found


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False))
