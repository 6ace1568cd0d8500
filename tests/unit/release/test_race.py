"""Two publishers race 200 times, on disk and on object storage: one wins each time, the other is told who did."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

from pinrec_core.errors import ConflictError
from pinrec_core.registry import Aliases, read_aliases
from pinrec_core.release import moves
from pinrec_core.release.moves import Move
from pinrec_core.release.operations.past import disagreements

ROUNDS = 200
SURFACES = ("home", "search")


def attempt(registry: str, name: str, barrier: Any) -> str:
    """Read, wait until the other has read too, move both surfaces; "won", or what the loser is told."""
    aliases, version = read_aliases(registry)
    moved = {surface: Move(live=f"{name}-{aliases.revision + 1}-{surface}",
                           previous=aliases.surfaces[surface].live if aliases.revision else None)
             for surface in SURFACES}
    barrier.wait()
    try:
        moves.commit(registry, aliases, version, moves.moved_to(aliases, moved), action="promote", run_id=name, why="r")
    except ConflictError as error:
        return str(error)
    finally:
        barrier.wait()  # nobody reads for the next round before both are done
    return "won"


def check(ended: dict[str, list[str]], aliases: Aliases) -> None:
    """Exactly one winner a round, whom history and aliases both name."""
    assert all(len(told) == ROUNDS for told in ended.values())
    assert aliases.revision == len(aliases.history) == ROUNDS and disagreements(aliases) == []
    for number, (entry, *told) in enumerate(zip(aliases.history, *ended.values(), strict=True), 1):
        (winner,) = [name for name, outcome in zip(ended, told, strict=True) if outcome == "won"]
        (lost,) = [outcome for outcome in told if outcome != "won"]
        assert entry["run"] == winner and entry["revision"] == number
        assert {s: alias["live"] for s, alias in entry["surfaces"].items()} == {
            surface: f"{winner}-{number}-{surface}" for surface in SURFACES}
        assert f"nothing was changed, because {entry['who']} changed " in lost and "run it again" in lost
        assert f"(revision {number}, promote, run {winner}: r)" in lost
    assert {s: alias.live for s, alias in aliases.surfaces.items()} == {
        s: alias["live"] for s, alias in aliases.history[-1]["surfaces"].items()}


def rounds(registry: str, name: str, barrier: Any) -> list[str]:
    return [attempt(registry, name, barrier) for _ in range(ROUNDS)]


def test_on_disk_between_processes(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    barrier, told = context.Barrier(2), context.SimpleQueue()

    def race(name: str) -> None:
        told.put((name, rounds(str(tmp_path), name, barrier)))

    processes = [context.Process(target=race, args=(name,)) for name in "ab"]
    for process in processes:
        process.start()
    ended = dict(told.get() for _ in processes)
    for process in processes:
        process.join()
    check(ended, read_aliases(str(tmp_path))[0])


def test_on_object_storage_between_threads(bucket):
    barrier = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        ended = {name: pool.submit(rounds, bucket, name, barrier) for name in "ab"}
    check({name: future.result() for name, future in ended.items()}, read_aliases(bucket)[0])
