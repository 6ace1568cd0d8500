"""What changes for users when one release takes another's place: which items enter, leave and move.

Items are matched by id: the two releases number them differently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from pinrec_core.data.batch import History
from pinrec_core.errors import ConfigError, DataError
from pinrec_core.progress import doing
from pinrec_core.release import bundle
from pinrec_core.release.histories import COLUMNS
from pinrec_core.release.inspect.asked import named
from pinrec_core.release.inspect.user import InspectedUser
from pinrec_core.release.load import LoadedRelease
from pinrec_core.schemas import NO_ITEM

_CHUNK = 256  # users asked at a time
_SHOWN = 10  # items named that enter or leave most lists


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Moved(_Told):
    """An item of either list."""

    item_id: str
    title: str | None
    before: int | None  # rank, from 1; None = it enters
    after: int | None  # None = it leaves

    @property
    def by(self) -> int:
        """Ranks that it goes up by; below 0 = down."""
        return self.before - self.after if self.before and self.after else 0


class Change(_Told):
    """One user's lists."""

    user_id: str
    before_id: str
    after_id: str
    entered: list[Moved]
    left: list[Moved]
    moved: list[Moved]  # in both, at another rank
    stayed: int  # in both, at the same rank
    overlap: float  # share of the longer list that both have


class Frequent(_Told):
    """An item that many lists gain or lose."""

    item_id: str
    title: str | None
    users: int


class Overlap(_Told):
    """Many users' lists."""

    surface: str
    before_id: str
    after_id: str
    users: int  # asked, evenly from those that both releases know, by id
    n: int
    overlap: float  # mean over users of the share that both lists have; 1 = the same items
    same_first: float  # share of users with the same first item
    unchanged: float  # share of users whose lists are the same, order too
    entered: list[Frequent]  # most frequent first
    left: list[Frequent]


def change(before: InspectedUser, after: InspectedUser) -> Change:
    """What became of a user's list."""
    ranks = [{item.item_id: item.rank for item in told.items} for told in (before, after)]
    titles = {item.item_id: item.title for told in (before, after) for item in told.items}
    moves = [Moved(item_id=item_id, title=title, before=ranks[0].get(item_id), after=ranks[1].get(item_id))
             for item_id, title in titles.items()]
    both = [one for one in moves if one.before and one.after]
    return Change(user_id=after.user_id, before_id=before.release_id, after_id=after.release_id,
                  entered=sorted((one for one in moves if not one.before), key=lambda one: one.after or 0),
                  left=[one for one in moves if not one.after],
                  moved=sorted((one for one in both if one.by), key=lambda one: -abs(one.by)),
                  stayed=sum(not one.by for one in both),
                  overlap=len(both) / max(map(len, ranks)) if any(ranks) else 1.0)


def overlap(before: LoadedRelease, after: LoadedRelease, *, users: int = 200, n: int = 20) -> Overlap:
    """Compare the lists of up to `users` users whom both releases know.

    Raises ConfigError if they are of different surfaces, DataError if they have no user in common.
    """
    check_same_surface(before, after)
    ids = _common_users(before, after, users)
    lists = []
    with doing("compare users' lists", 2 * len(ids), "lists") as told:
        for number, release in enumerate((before, after)):
            lists.append([])
            for start in range(0, len(ids), _CHUNK):
                lists[-1] += _lists(release, ids[start:start + _CHUNK], n)
                told(number * len(ids) + len(lists[-1]))
    pairs = list(zip(*lists, strict=True))
    shared = [len({*old} & {*new}) / max(len(old), len(new), 1) for old, new in pairs]
    return Overlap(surface=after.surface, before_id=before.release_id, after_id=after.release_id, users=len(ids), n=n,
                   overlap=float(np.mean(shared)),
                   same_first=float(np.mean([old[:1] == new[:1] for old, new in pairs])),
                   unchanged=float(np.mean([old == new for old, new in pairs])),
                   entered=_frequent(after, (set(new) - set(old) for old, new in pairs)),
                   left=_frequent(before, (set(old) - set(new) for old, new in pairs)))


def check_same_surface(before: LoadedRelease, after: LoadedRelease) -> None:
    """Raise ConfigError if two releases do not answer for the same surface."""
    if before.surface != after.surface:
        raise ConfigError(f"release {before.release_id[:12]} is of surface {before.surface!r}, {after.release_id[:12]} "
                          f"of {after.surface!r}; compare releases of one surface")


def _common_users(before: LoadedRelease, after: LoadedRelease, most: int) -> list[str]:
    """Evenly spaced among the ids that both know, in their order."""
    old, new = (pq.read_table(release.directory / bundle.HISTORIES, columns=["user_id"])["user_id"]
                for release in (before, after))
    common = old.filter(pc.is_in(old, value_set=new.combine_chunks()))
    if not len(common):
        raise DataError(f"releases {before.release_id[:12]} and {after.release_id[:12]} have no user in common; "
                        "compare releases of the same log")
    return common.take(np.unique(np.linspace(0, len(common) - 1, most).astype(np.int64))).to_pylist()


def _lists(release: LoadedRelease, user_ids: Sequence[str], n: int) -> list[list[str]]:
    """Ids of what each user gets, best first."""
    table = pq.read_table(release.directory / bundle.HISTORIES, filters=[("user_id", "in", user_ids)])
    histories = [History(*(np.array(row[name], np.int64) for name in COLUMNS)) for row in table.to_pylist()]
    place = {user_id: row for row, user_id in enumerate(table["user_id"].to_pylist())}
    time_R = np.full(len(histories), release.manifest.facts["asked_ms"])
    item_RN = release.retriever.retrieve(histories, release.surface, time_R, n=n).item_RN
    ids = release.model.items["item_id"].take(np.maximum(item_RN, 0).ravel()).to_pylist()
    width = item_RN.shape[1]
    return [[ids[row * width + rank] for rank in range(width) if item_RN[row, rank] != NO_ITEM]
            for row in (place[user_id] for user_id in user_ids)]


def _frequent(release: LoadedRelease, items: Iterator[set[str]]) -> list[Frequent]:
    counted = Counter(item_id for one in items for item_id in one)
    most = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
    rows = [pc.index(release.model.items["item_id"], item_id).as_py() for item_id, _ in most]
    return [Frequent(item_id=item_id, title=title, users=users)
            for (item_id, title), (_, users) in zip(named(release, rows), most, strict=True)]
