"""pinrec inspect: what a release makes of a user and an item, and what changed, held against the retriever itself."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.config import IndexConfig
from pinrec_core.errors import ConfigError, DataError
from pinrec_core.registry import whole_id
from pinrec_core.release.answer import recommend
from pinrec_core.release.gate import gate
from pinrec_core.release.inspect.absence import Reason, whereabouts
from pinrec_core.release.inspect.asked import Question, ask, opened
from pinrec_core.release.inspect.change import change, overlap
from pinrec_core.release.inspect.item import inspect_item
from pinrec_core.release.inspect.user import inspect_user
from pinrec_core.release.promote import promote
from pinrec_core.retrieval.index import ItemIndex

from ..world import (
    LOG,
    N_ITEMS,
    N_USERS,
    build,
    evaluate_model,
    gate_config,
    item_table,
    verify_here,
    write_dataset,
    write_model,
)

TYPES = {"item_types": ("pin", "board"), "retrievable_types": ("pin", "board")}
QUESTION = Question(user_id="u007", n=15)


@pytest.fixture(scope="module")
def live(verified, verdicts, tmp_path_factory) -> str:
    """A registry in which home went from one release to another."""
    folder = tmp_path_factory.mktemp("inspect") / "registry"
    shutil.copytree(verified[0], folder)
    promote(str(folder), verdicts["first"], verified[1]["first"], "run-1")
    promote(str(folder), verdicts["second"], verified[1]["second"], "run-2", forced="nothing was compared")
    return str(folder)


@pytest.fixture(scope="module")
def home(live):
    with opened(live, whole_id(live, "home:live")) as release:
        yield release


@pytest.fixture(scope="module")
def earlier(live):
    with opened(live, whole_id(live, "home:previous")) as release:
        yield release


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    settings = Settings()
    code = execute(build_app(settings), settings, arguments)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_list_is_that_of_recommend(live, home):
    told = inspect_user(ask(home, QUESTION))
    wanted = recommend(live, "home", "u007", n=15)
    assert [(item.item_id, item.title) for item in told.items] == [(item.item_id, item.title) for item in wanted]
    outcomes = {query.number: (query.outcome, query.step) for query in told.queries}
    assert [outcomes[item.query] for item in told.items] == [(item.outcome, item.step) for item in wanted]
    assert [item.score for item in told.items] == pytest.approx([item.score for item in wanted])


def test_budgets_claims_and_sightings_add_up(home):
    told = inspect_user(ask(home, QUESTION))
    assert sum(query.budget for query in told.queries) == sum(query.claimed for query in told.queries) == 15
    assert len(told.queries) <= told.generated == 4  # 2 steps, 2 outcomes
    assert told.shares == {"click": 0.6, "save": 0.4}
    for item in told.items:  # the query that claimed an item has it among its own
        assert item.query in [found.query for found in item.found_by]
    assert len(told.history) == 8 and told.history[-1].timestamp_ms >= told.history[0].timestamp_ms
    assert {item.item_id for item in told.items if item.seen} == (
        {item.item_id for item in told.items} & {one.item_id for one in told.history})


def test_what_was_seen_can_be_left_out(home):
    asked = ask(home, QUESTION.model_copy(update={"exclude_seen": True}))
    told = inspect_user(asked)
    assert len(told.items) == 15 and not any(item.seen for item in told.items)
    where = whereabouts(asked, told.history[0].item_id)
    assert where.reason is Reason.EXCLUDED and where.place is None


@pytest.mark.parametrize("changes", [{}, {"exclude_seen": True}, {"outcomes": {"save": 1.0}}])
def test_the_exact_place_is_that_of_the_list(home, changes):
    asked = ask(home, QUESTION.model_copy(update=changes))
    listed = [item.item_id for item in inspect_user(asked).items]
    for rank, item_id in enumerate(listed, 1):
        where = whereabouts(asked, item_id)
        assert (where.reason, where.place) == (Reason.PRESENT, rank)
    outside = [f"i{n}" for n in range(N_ITEMS) if f"i{n}" not in listed]
    places = [where.place for where in (whereabouts(asked, item_id) for item_id in outside)
              if where.reason is Reason.OUTRANKED]
    assert places and min(places) == 16 and len(set(places)) == len(places)  # the list goes on without a gap
    assert len(places) + 15 + len(asked.excluded_X) == N_ITEMS


def test_scores_and_ranks_are_those_of_every_item(home):
    asked = ask(home, QUESTION.model_copy(update={"n": N_ITEMS}))
    for number, item_K in enumerate(asked.queries.item_MK):
        for rank in (0, 40, N_ITEMS - 1):
            item_id = home.model.items["item_id"][int(item_K[rank])].as_py()
            standing = whereabouts(asked, item_id).standings[number]
            assert standing.rank == pytest.approx(rank + 1, abs=1)  # equal scores share a rank


def test_why_an_item_cannot_be_there(home, monkeypatch):
    asked = ask(home, QUESTION)
    where = whereabouts(asked, "i7x")
    assert where.reason is Reason.NOT_IN_CATALOGUE and "pinrec index refresh" in where.sentence
    narrow = home.model.log.model_copy(update={"item_types": ("pin", "query"), "retrievable_types": ("query",)})
    monkeypatch.setattr(home.model, "log", narrow)
    assert whereabouts(asked, "i7").reason is Reason.TYPE_NOT_RETRIEVABLE


def test_an_allow_list_keeps_items_out(home, monkeypatch):
    index = ItemIndex.build(np.asarray(home.retriever.search_vectors_ID), np.arange(N_ITEMS) < 60, IndexConfig())
    monkeypatch.setattr(home.retriever, "index", index)
    where = whereabouts(ask(home, QUESTION), "i99")
    assert where.reason is Reason.NOT_INDEXED and "index.allow" in where.sentence
    assert not inspect_item(home, "i99").indexed and inspect_item(home, "i9").indexed


@pytest.fixture
def two_types(tmp_path) -> str:
    """A registry whose live release of home retrieves pins and boards; every third item is a board."""
    log, table, registry = LOG.model_copy(update=TYPES), item_table(), tmp_path / "registry"
    place = table.schema.get_field_index("item_type")
    items = table.set_column(place, table.schema.field(place), pa.array(np.arange(N_ITEMS) % 3 == 0).cast(pa.int8()))
    write_dataset(tmp_path / "dataset", items, log)
    write_model(tmp_path / "model-home", items, 0, tmp_path / "dataset", log=log)
    gate([evaluate_model(tmp_path, "home", "home")], tmp_path / "verdict",
         gate=gate_config(floors={"home": {"recall@10": 0.0}}))
    release_id = build(tmp_path, tmp_path / "verdict", registry, "home")
    verify_here(tmp_path, registry, release_id)
    promote(str(registry), tmp_path / "verdict", [release_id], "run-1")
    return str(registry)


def test_an_item_of_a_type_that_was_not_asked_for_is_filtered(two_types, capsys):
    def where(item_id: str, *types: str) -> dict:
        code, out, err = run(capsys, "inspect", "item", item_id, "-s", "home", "-u", "u007", "-n", "120", *types,
                             "--registry", two_types, "--json")
        assert code == 0, err
        return json.loads(out)["for_user"]

    told = where("i9", "--item-type", "pin")  # a board
    assert (told["reason"], told["place"], told["standings"]) == ("filtered", None, [])
    assert told["sentence"] == "it is of type 'board', asked for was ['pin']"
    assert where("i9")["reason"] == where("i9", "--item-type", "board")["reason"] == "present"
    pin = where("i10", "--item-type", "pin")
    assert pin["reason"] == "present" and pin["place"] <= pin["n"] == N_ITEMS * 2 // 3, "among pins alone"
    code, _, err = run(capsys, "inspect", "item", "i9", "-s", "home", "-u", "u007", "--item-type", "bord",
                       "--registry", two_types)
    assert code == 1 and "item type 'bord' cannot be retrieved" in err and err.count("\n") == 1


def test_what_the_index_missed_is_told_apart_from_what_is_outranked(home):
    asked = ask(home, QUESTION)
    item_RN = asked.found.item_RN.copy()
    lost = home.model.items["item_id"][int(item_RN[0, 3])].as_py()
    item_RN[0, 3] = asked.queries.item_MK[0, -1]  # as if an approximate search had come by another item
    asked.found.item_RN[:] = item_RN
    where = whereabouts(asked, lost)
    assert (where.reason, where.place) == (Reason.MISSED_BY_INDEX, 4)


def test_an_item_with_its_neighbours(home):
    told = inspect_item(home, "i9", 5)
    vectors = np.asarray(home.retriever.search_vectors_ID)[:, :16]
    cosine = vectors @ vectors[9]
    cosine[9] = -2
    assert [one.item_id for one in told.neighbours] == [f"i{n}" for n in np.argsort(-cosine)[:5]]
    assert [one.cosine for one in told.neighbours] == pytest.approx(sorted(cosine, reverse=True)[:5])
    assert told.title == "title 9" and told.indexed and told.train_count == 1 and told.has_content
    histories = [inspect_user(ask(home, Question(user_id=f"u{n:03}"))).history for n in range(N_USERS)]
    assert told.in_histories == sum(any(one.item_id == "i9" for one in history) for history in histories) > 0
    unknown = inspect_item(home, "i119x")
    assert not unknown.known and unknown.nearest == "i119"


def test_what_changed_for_a_user(earlier, home):
    old, new = (inspect_user(ask(release, QUESTION)) for release in (earlier, home))
    found = change(old, new)
    before, after = [i.item_id for i in old.items], [i.item_id for i in new.items]
    assert {one.item_id for one in found.entered} == set(after) - set(before)
    assert {one.item_id for one in found.left} == set(before) - set(after)
    assert all(before[one.before - 1] == one.item_id == after[one.after - 1] for one in found.moved)
    assert found.overlap == len(set(before) & set(after)) / 15
    assert found.stayed + len(found.moved) == len(set(before) & set(after))
    assert change(new, new).overlap == 1.0 and change(new, new).stayed == 15


def test_how_much_is_new_for_many_users(earlier, home):
    found = overlap(earlier, home, users=20, n=10)
    assert found.users == 20
    shares = [change(*(inspect_user(ask(release, Question(user_id=f"u{row:03}", n=10))) for release in (earlier, home))
                     ).overlap for row in np.linspace(0, N_USERS - 1, 20).astype(int)]
    assert found.overlap == pytest.approx(np.mean(shares))
    assert found.entered[0].users >= found.entered[-1].users > 0
    same = overlap(home, home, users=5)
    assert (same.overlap, same.same_first, same.unchanged, same.entered) == (1.0, 1.0, 1.0, [])


def test_releases_of_two_surfaces_are_not_compared(live, home):
    with opened(live, whole_id(live, "search:live")) as other, pytest.raises(ConfigError, match="of one surface"):
        overlap(other, home)


def test_an_unknown_user_is_named(home):
    with pytest.raises(DataError, match="the nearest known id is 'u007'"):
        ask(home, Question(user_id="u007x"))


def test_the_commands_as_json(live, home, capsys):
    where = ("--registry", live, "--json")
    code, out, _ = run(capsys, "inspect", "user", "u007", "-s", "home", "-n", "15", "--before", "home:previous", *where)
    told = json.loads(out)
    assert code == 0 and told["items"] == inspect_user(ask(home, QUESTION)).model_dump(mode="json")["items"]
    assert told["change"]["after_id"] == home.release_id
    code, out, _ = run(capsys, "inspect", "item", "i9", "-s", "home", "--user", "u007", *where)
    assert code == 0 and json.loads(out)["for_user"]["reason"] in ("present", "outranked")
    code, out, _ = run(capsys, "inspect", "release", "home:live", "--before", "home:previous", "--users", "5", *where)
    told = json.loads(out)
    assert code == 0 and told["release_id"] == home.release_id and told["change"]["users"] == 5 and told["lineage"]


def test_the_commands_for_a_person(live, capsys):
    code, out, _ = run(capsys, "inspect", "user", "u007", "-s", "home", "--before", "home:previous", "--registry", live)
    assert code == 0 and "queries: " in out and "from release " in out
    code, out, _ = run(capsys, "inspect", "item", "i9", "-s", "home", "-u", "u007", "--registry", live)
    assert code == 0 and "item i9 (title 9), pin, on home" in out and "exact rank by query" in out
    code, out, _ = run(capsys, "inspect", "item", "i9x", "-s", "home", "-u", "u007", "--registry", live)
    assert code == 0 and "not in the catalogue" in out and "not_in_catalogue" in out
    code, out, _ = run(capsys, "inspect", "release", "home:live", "--before", "home:previous", "--registry", live)
    assert code == 0 and "## Lineage" in out and "60 users, 20 items each" in out


@pytest.mark.parametrize(("arguments", "message"), [
    (("user", "u007", "-s", "hom"), "surface 'hom' has no live release; there are home:live, home:previous"),
    (("release", "home:old"), "release home:old: write SURFACE:live, SURFACE:previous"),
    (("user", "u007", "-s", "home", "--release", "search:live"), "is of surface 'search', asked for is 'home'"),
    (("user", "u007", "-s", "home", "--before", "search:live"), "compare releases of one surface")])
def test_mistakes_are_one_line(live, capsys, arguments, message):
    code, _, err = run(capsys, "inspect", *arguments, "--registry", live)
    assert code == 1 and err.startswith("error: ") and message in err and err.count("\n") == 1
