"""The index benchmark on a catalogue of seconds: its vectors, its rows, its table."""

import index
import numpy as np
import pytest
from index import clustered, measure, print_table

from pinrec_core.config import Codes, IndexKind


def test_vectors_are_clustered_and_queries_lie_near_items():
    vector_ID, query_MD = clustered(4000, 32, 50)
    for rows in (vector_ID, query_MD):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    cosine_MI = np.sort(query_MD @ vector_ID.T, axis=1)
    assert cosine_MI[:, -1].mean() > 0.8, "of the item it is near"
    assert cosine_MI[:, -50:].mean() > cosine_MI.mean() + 0.4, "and of the others of its centre"
    np.testing.assert_array_equal(clustered(4000, 32, 50)[0], vector_ID)


@pytest.mark.parametrize(("kind", "codes"), index.KINDS)
def test_a_row_says_what_the_index_costs_and_finds(kind, codes, capsys):
    row = measure(1500, 16, kind, codes, 40)
    assert row["recall"] >= index.FLOOR and row["mb"] == pytest.approx(row["estimated_mb"], rel=0.05)
    assert row["setting"] in ([rung["setting"] for rung in row["curve"]] or [None])
    assert 0 < row["p50_ms"] <= row["p99_ms"] and 0 < row["six_p50_ms"] <= row["six_p99_ms"]
    print_table([row])
    assert f"{kind.value} {codes.value}" in capsys.readouterr().out


def test_a_floor_out_of_reach_is_told_in_the_row(monkeypatch, capsys):
    monkeypatch.setattr(index, "FLOOR", 1.0)
    row = measure(1500, 16, IndexKind.IVF, Codes.SQ8, 40)
    assert "reaches index.min_ann_recall 1 " in row["failed"] and "recall" not in row
    print_table([row])
    assert "ivf sq8" in capsys.readouterr().out
