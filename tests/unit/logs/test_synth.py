"""The synthetic world: same config, same bytes; a floor and a ceiling that mean what they say; a log that is a log."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from pinrec_core.config import Config
from pinrec_core.errors import ConfigError
from pinrec_core.logs.synth import WORLDS, WorldConfig, write_world
from pinrec_core.logs.world.behaviour import Stock, draw_pins, pin_scores, softmax
from pinrec_core.logs.world.day import Shown, Views, remember
from pinrec_core.logs.world.inhabitants import make_catalogue
from pinrec_core.logs.world.oracle import recalls
from pinrec_core.schemas import CATALOG, EVENTS

CONFIGS = Path(__file__).parents[3] / "pipelines" / "configs"
SMALL = WorldConfig(users=400, items=2000, days=6, first_day="2026-02-26")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "world"
    write_world(folder, SMALL)
    return folder


@pytest.fixture(scope="module")
def events(world: Path) -> pa.Table:
    return pads.dataset(world / "events").to_table()


def digest(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_config_same_bytes(world: Path, tmp_path: Path):
    write_world(tmp_path / "again", SMALL)
    write_world(tmp_path / "other", SMALL.model_copy(update={"seed": 1}))
    assert digest(tmp_path / "again") == digest(world)
    other = digest(tmp_path / "other")
    assert other.keys() == digest(world).keys() and not set(other.values()) & set(digest(world).values())


def test_the_oracle_is_far_above_popularity(world: Path):
    document = json.loads((world / "truth.json").read_text())
    assert (document["date"], document["eval_days"]) == ("2026-03-03", 2)
    for surface, truth in document["surfaces"].items():
        assert truth["users"] > 50, surface
        assert 0.5 < truth["oracle"]["recall@50"] < 0.95, surface
        assert truth["oracle"]["recall@50"] > 3 * truth["popularity"]["recall@50"], surface
        assert truth["oracle"]["recall@10"] > 3 * truth["popularity"]["recall@10"], surface


def test_truth_is_that_of_the_log(world: Path, events: pa.Table):
    """The popularity floor and n, recomputed from the event files alone."""
    document = json.loads((world / "truth.json").read_text())
    start = int(np.datetime64("2026-03-02", "ms").astype(np.int64))
    positive = events.filter(pc.is_in(events["action"], pa.array(["click", "save"]))).to_pylist()
    before = {(r["user_id"], r["request_id"], r["item_id"]) for r in positive if r["timestamp_ms"] < start}
    counts: dict[str, int] = {}
    for _, _, item in before:
        counts[item] = counts.get(item, 0) + 1
    top = sorted(counts, key=lambda item: (-counts[item], int(item[1:])))[:50]
    for surface, truth in document["surfaces"].items():
        targets: dict[str, set[str]] = {}
        for r in positive:
            if r["timestamp_ms"] >= start and r["surface"] == surface:
                targets.setdefault(r["user_id"], set()).add(r["item_id"])
        assert len(targets) == truth["users"]
        recall = np.mean([len(items & set(top)) / len(items) for items in targets.values()])
        assert truth["popularity"]["recall@50"] == pytest.approx(recall, abs=1e-4)


def test_every_name_is_in_the_configs(events: pa.Table):
    for name in ("demo", "tiny"):
        log = Config.load(CONFIGS / f"{name}.toml").log
        assert set(events["surface"].to_pylist()) == set(log.surfaces)
        assert set(events["action"].to_pylist()) == {log.impression_action, *log.action_names}
        assert set(events["item_type"].to_pylist()) == set(log.item_types)


@pytest.mark.parametrize("name", ["demo", "tiny"])
def test_configs_cover_their_world(name: str):
    config, world = Config.load(CONFIGS / f"{name}.toml"), WORLDS[name]
    assert (config.aggregate.lookback_days, config.aggregate.eval_days) == (world.days, world.eval_days)
    assert config.aggregate.timezone == "UTC"


def test_the_log_is_complete_and_dated_right(world: Path, events: pa.Table):
    folders = sorted((world / "events").iterdir())
    assert [f.name for f in folders] == [f"date=2026-{day}" for day in (
        "02-26", "02-27", "02-28", "03-01", "03-02", "03-03")]
    for folder in folders:
        part = pq.read_table(folder / "part-00000.parquet")
        assert (part.schema.names, part.schema.types) == (EVENTS.names, EVENTS.types)
        day = np.datetime64(folder.name.removeprefix("date="), "D")
        assert (part["timestamp_ms"].to_numpy().astype("datetime64[ms]").astype("datetime64[D]") == day).all()
    required = [events[name].null_count for name in EVENTS.names[:7]]
    assert required == [0] * 7


def test_views_hang_together(events: pa.Table):
    """Every action follows an impression of its view, a view shows a pin once, contexts are what they should be."""
    shown, views = {}, {}
    rows = events.to_pylist()
    for r in rows:
        if r["action"] == "impression":
            key = (r["request_id"], r["item_id"])
            assert key not in shown
            shown[key] = r["timestamp_ms"]
            views.setdefault(r["request_id"], set()).add((r["user_id"], r["surface"], r["context_item_id"]))
    assert all(len(owners) == 1 for owners in views.values())
    queries = {r["request_id"]: r["item_id"] for r in rows if r["action"] == "search"}
    for r in rows:
        if r["action"] in ("click", "save", "hide"):
            assert r["timestamp_ms"] > shown[r["request_id"], r["item_id"]]
    for request, owners in views.items():
        (_, surface, context), = owners
        assert {"home": context is None, "related": str(context).startswith("p"),
                "search": context == queries.get(request)}[surface]


def test_close_ups_are_pins_the_user_engaged_with_before(events: pa.Table):
    rows = sorted(events.to_pylist(), key=lambda r: r["timestamp_ms"])
    engaged, opened = set(), 0
    for r in rows:
        if r["surface"] == "related" and r["action"] == "impression":
            assert (r["user_id"], r["context_item_id"]) in engaged
            opened += 1
        if r["action"] in ("click", "save"):
            engaged.add((r["user_id"], r["item_id"]))
    assert opened > 100


def test_most_impressions_are_ignored_and_surfaces_differ(events: pa.Table):
    counts = {(r["surface"], r["action"]): r["n"] for r in events.group_by(["surface", "action"]).aggregate(
        [([], "count_all")]).rename_columns(["surface", "action", "n"]).to_pylist()}
    for surface in ("home", "related", "search"):
        assert 0.05 < counts[surface, "click"] / counts[surface, "impression"] < 0.4
    saves_per_click = {s: counts[s, "save"] / counts[s, "click"] for s in ("home", "related", "search")}
    assert saves_per_click["related"] < saves_per_click["home"] < 1 < saves_per_click["search"]
    users = {s: len(pc.unique(events.filter(pc.equal(events["surface"], s))["user_id"])) for s in saves_per_click}
    assert max(users["search"], users["related"]) < users["home"] < SMALL.users


def test_catalog_has_content_and_new_pins(world: Path, events: pa.Table):
    catalog = pq.read_table(world / "catalog" / "part-00000.parquet")
    assert catalog.schema.equals(CATALOG) and catalog.num_rows == SMALL.items + SMALL.queries
    assert set(pc.list_value_length(catalog["content"]).to_pylist()) == {SMALL.content_dim}
    assert set(pc.unique(events["item_id"]).to_pylist()) <= set(catalog["item_id"].to_pylist())
    created = dict(zip(catalog["item_id"].to_pylist(), catalog["created_ms"].to_pylist(), strict=True))
    start = int(np.datetime64("2026-02-26", "ms").astype(np.int64))
    assert sum(c is not None and c > start for c in created.values()) > SMALL.items // 10
    pins = events.filter(pc.equal(events["action"], "impression"))
    shown = zip(pins["item_id"].to_pylist(), pins["timestamp_ms"].to_pylist(), strict=True)
    assert all(created[item] <= time for item, time in shown)


def test_draws_follow_the_probabilities_the_oracle_uses():
    rng = np.random.default_rng(0)
    catalogue = make_catalogue(WORLDS["tiny"], rng)
    stock = Stock.on_day(catalogue, 0)
    centre = catalogue.centre_TD[[3]]
    expected = softmax(pin_scores(3, centre, catalogue, stock))[0]
    n = 40_000
    drawn = draw_pins(np.full(n, 3), np.repeat(centre, n, axis=0), catalogue, stock, rng)
    found = np.bincount(drawn, minlength=len(catalogue.topic_I))[catalogue.pins_T[3]] / n
    assert found.sum() == pytest.approx(1)
    assert (found[stock.weight_I[catalogue.pins_T[3]] == -np.inf] == 0).all()
    np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(0.25 / n))


def test_recall_by_hand():
    ranked = np.tile(np.arange(100, 150), (2, 1))  # both users are shown 100, 101, ... 149
    pairs = np.array([[4, 100], [4, 7], [9, 112], [9, 109], [9, 149], [9, 8]])
    assert recalls(ranked, pairs) == {"recall@10": pytest.approx((1 / 2 + 1 / 4) / 2),
                                      "recall@50": pytest.approx((1 / 2 + 3 / 4) / 2)}


def test_the_latest_pins_are_remembered_newest_first():
    recent = np.array([[5, 4, -1, -1, -1], [-1] * 5, [9, 8, 7, 6, 5]])
    none = np.zeros(2, int)
    views = Views(np.array([0, 2]), none, none, np.full(2, -1), none, np.zeros((2, 1)))
    clicked = np.array([30, -1, 20, -1])
    shown = Shown(np.array([0, 0, 0, 1]), np.array([11, 12, 13, 14]), np.zeros(4, int), np.array([29, 3, 19, 5]),
                  {"click": clicked, "save": np.array([-1, -1, -1, 6]), "hide": np.array([-1, 4, -1, -1])})
    assert remember(recent, views, shown).tolist() == [[11, 13, 5, 4, -1], [-1] * 5, [14, 9, 8, 7, 6]]


@pytest.mark.parametrize(("text", "message"), [
    ('{"items": 50}', "items 50 are too few for 20 topics"),
    ('{"queries": 3}', "queries 3 are fewer than topics 20"),
    ('{"eval_days": 14}', "eval_days 14 leaves nothing"),
    ('{"user": 5}', "did you mean 'users'"),
])
def test_impossible_worlds(text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        WorldConfig.parse(text)
