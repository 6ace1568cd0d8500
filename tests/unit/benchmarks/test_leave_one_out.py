"""Leave-one-out on a category of four users, through the real import and aggregation."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leave_one_out import LeaveOneOut, leave_one_out, open_leave_one_out, without_seen

from pinrec_core.config import FinetuneConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import Requests
from pinrec_core.data.views import feed_views
from pinrec_core.errors import DataError
from pinrec_core.schemas import NO_ITEM

USERS = {"1": [10, 11, 12, 13], "2": [11, 12, 14], "3": [10, 13, 11, 12, 10], "4": [12, 13]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """The category's folder and the work folder it was imported and aggregated into."""
    source, work = tmp_path_factory.mktemp("Tiny"), tmp_path_factory.mktemp("work")
    lines = (f"{user} {' '.join(map(str, items))}" for user, items in USERS.items())
    (source / "Tiny.txt").write_text("\n".join(lines) + "\n")
    open_leave_one_out(source, work)
    return source, work


@pytest.fixture(scope="module")
def data(folders) -> LeaveOneOut:
    """The same, opened again from what is kept."""
    return open_leave_one_out(*folders)


def told(dataset: Dataset) -> dict[str, list[int]]:
    """User -> item ids, in order."""
    ids = np.array([int(name) for name in dataset.items["item_id"].to_pylist()])
    return {user: ids[items].tolist() for user, items in
            zip(dataset.user_ids.to_pylist(), np.split(dataset.item_E, dataset.offsets_U1[1:-1]), strict=True)}


def asked(data: LeaveOneOut, requests: Requests) -> dict[str, tuple[list[int], int]]:
    """User -> the item ids that may be known, and the one that is asked for."""
    ids, users = [int(name) for name in data.full.items["item_id"].to_pylist()], data.full.user_ids.to_pylist()
    assert requests.offsets_R1.tolist() == list(range(len(requests) + 1))
    found = zip(requests.user_R, requests.histories(data.full, 100), requests.item_T, strict=True)
    return {users[user]: ([ids[item] for item in history.item_T], ids[target]) for user, history, target in found}


def test_the_last_two_engagements_are_cut_off_where_there_are_three(data):
    assert told(data.full) == USERS
    assert told(data.training) == {"1": [10, 11], "2": [11], "3": [10, 13, 11], "4": [12, 13]}
    assert asked(data, data.validation) == {"1": ([10, 11], 12), "2": ([11], 12), "3": ([10, 13, 11], 12)}
    assert asked(data, data.test) == {"1": ([10, 11, 12], 13), "2": ([11, 12], 14), "3": ([10, 13, 11, 12], 10)}


def test_items_are_counted_anew_and_one_only_tested_on_is_cold(data):
    counts = dict(zip(data.full.items["item_id"].to_pylist(), data.training.items["train_count"].to_pylist(),
                      strict=True))
    assert counts == {"10": 2, "11": 3, "12": 1, "13": 2, "14": 0}
    assert data.training.items.schema.equals(data.full.items.schema)


def test_all_that_is_left_is_trained_on(data):
    training = data.training
    assert (training.split_U == 0).all() and (training.time_E < training.train_end_ms).all()
    assert len(training.item_E) == training.offsets_U1[-1] == 8
    assert all(len(getattr(training, name)) == 8 for name in ("actions_E", "surface_E", "time_E", "view_E"))
    assert not len(feed_views(training, "shop", 8, FinetuneConfig())), "feed views would tell what was cut off"


def test_the_time_of_a_request_says_nothing_of_the_answers_time(data):
    full = data.full
    known_R = full.time_E[full.offsets_U1[data.test.user_R + 1] - 2]
    assert (data.test.time_R == known_R + 1).all()
    last_E = np.zeros(len(full.time_E), np.int64)
    last_E[full.offsets_U1[1:] - 1] = 12_345_678
    for part, cut in (("test", 1), ("validation", 2)):  # whenever the answer came, the request is the same
        later = leave_one_out(dataclasses.replace(full, time_E=full.time_E + np.roll(last_E, 1 - cut)))
        assert (getattr(later, part).time_R == getattr(data, part).time_R).all()
        assert (getattr(later, part).item_T == getattr(data, part).item_T).all()


def test_seen_items_leave_the_list_and_the_rest_moves_up():
    item_RM = np.array([[4, 2, 7, 5], [1, 2, 3, 4], [6, 5, NO_ITEM, NO_ITEM]])
    seen_RH = np.array([[2, NO_ITEM, NO_ITEM], [1, 3, 2], [9, 6, 6]])
    assert without_seen(item_RM, seen_RH, 2).tolist() == [[4, 7], [4, NO_ITEM], [5, NO_ITEM]]
    assert without_seen(item_RM, np.full((3, 0), NO_ITEM), 3).tolist() == [[4, 2, 7], [1, 2, 3], [6, 5, NO_ITEM]]


def test_another_order_than_the_sources_is_refused(folders, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "dataset").symlink_to(folders[1] / "dataset")
    (work / "data").mkdir()
    (work / "data" / "events").symlink_to(folders[1] / "data" / "events")
    splits = pq.read_table(folders[1] / "data" / "splits.parquet").to_pylist()
    mine = [row for row in splits if row["user_id"] == "1"]
    mine[0]["item_id"], mine[1]["item_id"] = mine[1]["item_id"], mine[0]["item_id"]
    pq.write_table(pa.Table.from_pylist(splits), work / "data" / "splits.parquet")
    with pytest.raises(DataError, match="order differs from splits.parquet; remove the work folder"):
        open_leave_one_out(folders[0], work)
