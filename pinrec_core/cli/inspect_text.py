"""What `pinrec inspect` prints for a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from pinrec_core.cli.tables import print_table

if TYPE_CHECKING:
    from pinrec_core.release.inspect.absence import Whereabouts
    from pinrec_core.release.inspect.change import Change, Frequent, Moved, Overlap
    from pinrec_core.release.inspect.item import InspectedItem
    from pinrec_core.release.inspect.user import InspectedUser, QueryTold

_ID = 12  # digits of a release's id that are shown
_HISTORY = 20  # newest engagements that are shown


def print_user(told: InspectedUser) -> None:
    """History, queries, items."""
    typer.echo(f"user {told.user_id} on {told.surface}, release {told.release_id[:_ID]}, asked at "
               f"{_time(told.asked_ms)}; " + ", ".join(f"{name} {share:.0%}" for name, share in told.shares.items()))
    shown = told.history[-_HISTORY:]
    print_table(f"history, newest last ({len(shown)} of {len(told.history)})",
                ("time", "surface", "actions", "item", "title"),
                [(_time(one.timestamp_ms), one.surface, " ".join(one.actions), one.item_id, one.title or "")
                 for one in shown])
    print_table(f"queries: {len(told.queries)} of {told.generated} generated, the others joined them",
                ("query", "outcome", "offset", "step", "budget", "claimed"),
                [(one.number, one.outcome, one.offset, one.step, one.budget, one.claimed) for one in told.queries])
    names = {query.number: query for query in told.queries}
    print_table("retrieved; found by: query:rank of its own neighbours",
                ("rank", "item", "title", "score", "claimed by", "found by", "seen"),
                [(one.rank, one.item_id, one.title or "", f"{one.score:.3f}",
                  "" if one.query is None else _query(names[one.query]),
                  " ".join(f"{found.query}:{found.rank}" for found in one.found_by), "yes" if one.seen else "")
                 for one in told.items])


def print_item(told: InspectedItem) -> None:
    """What is known of it."""
    if not told.known:
        nearest = f"; did you mean {told.nearest!r}?" if told.nearest else ""
        typer.echo(f"item {told.item_id}: not in the catalogue of release {told.release_id[:_ID]}{nearest}")
        return
    warmth = f"{told.train_count:,} training engagements" if told.train_count else "cold: no training engagement"
    typer.echo(f"item {told.item_id} ({told.title or 'no title'}), {told.item_type}, on {told.surface}, release "
               f"{told.release_id[:_ID]}\n  {warmth}; in the histories of {told.in_histories:,} users; "
               f"{'content vector' if told.has_content else 'no content vector'}, {told.attributes} attributes\n  "
               f"{'can be retrieved' if told.indexed else 'cannot be retrieved: ' + _kept_out(told)}")
    print_table("nearest items", ("item", "title", "cosine"),
                [(one.item_id, one.title or "", f"{one.cosine:.3f}") for one in told.neighbours])


def print_whereabouts(told: Whereabouts) -> None:
    """Why, and where each query has it."""
    typer.echo(f"for user {told.user_id}: {told.reason.value}: {told.sentence}"
               + ("; it is cold, its content alone places it" if told.cold else ""))
    if told.standings:
        print_table("exact rank by query", ("query", "outcome", "offset", "step", "budget", "rank", "score"),
                    [(one.query, one.outcome, one.offset, one.step, one.budget, one.rank, f"{one.score:.3f}")
                     for one in told.standings])


def print_change(told: Change) -> None:
    """What entered, left and moved."""
    typer.echo(f"from release {told.before_id[:_ID]} to {told.after_id[:_ID]}: {told.overlap:.0%} of the list is in "
               f"both, {len(told.entered)} entered, {len(told.left)} left, {len(told.moved)} moved, {told.stayed} "
               "stayed")
    rows = [*_moves("entered", told.entered), *_moves("left", told.left), *_moves("moved", told.moved)]
    print_table("", ("", "item", "title", "rank before", "rank after"), rows)


def print_overlap(told: Overlap) -> None:
    """Of many users' lists."""
    typer.echo(f"\nfrom release {told.before_id[:_ID]} to {told.after_id[:_ID]}, {told.users} users, {told.n} items "
               f"each: {told.overlap:.1%} of a list is in both; the first item is the same for {told.same_first:.1%}, "
               f"the whole list for {told.unchanged:.1%}")
    print_table("most frequent changes", ("", "item", "title", "users"),
                [*_frequent("entered", told.entered), *_frequent("left", told.left)])


def _kept_out(told: InspectedItem) -> str:
    return "an allow list leaves it out" if told.retrievable else f"type {told.item_type} is not retrieved"


def _moves(what: str, moves: Sequence[Moved]) -> list[tuple]:
    return [(what, one.item_id, one.title or "", one.before or "", one.after or "") for one in moves]


def _frequent(what: str, found: Sequence[Frequent]) -> list[tuple]:
    return [(what, one.item_id, one.title or "", one.users) for one in found]


def _query(query: QueryTold) -> str:
    return f"{query.number} ({query.outcome}, step {query.step})"


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
