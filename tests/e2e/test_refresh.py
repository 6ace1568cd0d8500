"""New pins of tomorrow's catalog reach the live release without training, by the commands a person types."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.registry import live_release, read_aliases

NEW = 20


@pytest.fixture(scope="module")
def registry(promoted, tmp_path_factory) -> str:
    """A copy of the registry of the first run."""
    registry = tmp_path_factory.mktemp("refresh") / "registry"
    shutil.copytree(promoted.work / "registry", registry)
    return str(registry)


@pytest.fixture(scope="module")
def catalog(work, tmp_path_factory) -> str:
    """The world's catalog and 20 pins more, each like one that was there."""
    folder = tmp_path_factory.mktemp("catalog")
    (path,) = (work / "data/catalog").glob("*.parquet")
    known = pq.read_table(path)
    pins = known.filter(pc.equal(known["item_type"], "pin")).slice(0, NEW)
    more = pins.set_column(0, "item_id", pa.array([f"new{n}" for n in range(NEW)]))
    pq.write_table(pa.concat_tables([known, more.cast(known.schema)]), folder / path.name)
    return str(folder)


def pinrec(capsys, *arguments: str) -> str:
    settings = Settings()
    code = execute(build_app(settings), settings, arguments)
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def recommended(capsys, registry: str, user: str) -> list[str]:
    out = pinrec(capsys, "recommend", "--registry", registry, "-s", "home", "-u", user, "-n", "50", "--json")
    return [item["item_id"] for item in json.loads(out)]


def test_new_pins_are_recommended(promoted, registry, catalog, capsys):
    (dataset,) = (promoted.work / "tasks").glob("*/aggregate-logs/dataset")
    before, users = live_release(registry, "home"), [f"u{n}" for n in range(8)]
    known = {item for user in users for item in recommended(capsys, registry, user)}
    command = ("index", "refresh", "--registry", registry, "--surface", "home", "--catalog", catalog, "--dataset",
               str(dataset), "--promote")
    said = pinrec(capsys, *command)
    after = live_release(registry, "home")
    assert f"release {after} has {NEW} new items beside 440; verified" in said and "now live (revision 2)" in said
    verification = Path(registry, "verifications", f"{after}.json")
    assert json.loads(verification.read_text())["passed"]
    assert read_aliases(registry)[0].surfaces["home"].previous == before
    found = {item for user in users for item in recommended(capsys, registry, user)}
    new = {f"new{n}" for n in range(NEW)}
    assert len(found & new) >= NEW // 4, "pins like known ones are found for someone"
    assert len(found & known) > len(known) // 2
    assert "nothing new" in pinrec(capsys, *command) and live_release(registry, "home") == after
