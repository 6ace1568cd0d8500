"""Content vectors from words: what is said alike lies close, and what nobody else says gives none."""

import sys

import numpy as np
import pytest

from pinrec_core.errors import ConfigError
from pinrec_core.logs.importers.text_vectors import text_vectors

TITLES = ["Rose soap bar", "rose soap large", "Steel hammer", "steel hammer heavy", "zzz", None, "rose soap"]
LABELS = [["bath"], ["bath"], ["tools"], ["tools"], [], [], ["bath"]]


def test_what_is_said_alike_lies_close_and_the_rest_apart():
    soap, other, hammer, heavy, *unknown, last = text_vectors(TITLES, LABELS, 3).to_pylist()
    assert unknown == [None, None]  # a word of one item, and no word at all
    assert np.allclose(np.linalg.norm([soap, other, hammer, heavy, last], axis=1), 1, atol=1e-5)
    assert np.dot(soap, other) > 0.9 and np.dot(hammer, heavy) > 0.9 and np.dot(soap, last) > 0.9
    assert abs(np.dot(soap, hammer)) < 0.1


def test_there_are_no_more_dimensions_than_items_or_words_tell_apart():
    assert {len(vector) for vector in text_vectors(TITLES, LABELS, 100).to_pylist() if vector} == {6}  # of 7 items


def test_attributes_alone_are_enough():
    told = [["a", "b"], ["a", "b"], ["c", "d"], ["c", "d"], ["c"]]
    one, same, other, *_ = text_vectors([None] * len(told), told, 2).to_pylist()
    assert np.dot(one, same) == pytest.approx(1, abs=1e-5) and abs(np.dot(one, other)) < 0.1


def test_the_same_catalog_gives_the_same_vectors():
    rng = np.random.default_rng(0)
    titles = [" ".join(f"w{word}" for word in rng.zipf(1.5, 6) % 100) for _ in range(300)]
    assert text_vectors(titles, [[]] * 300, 8).equals(text_vectors(titles, [[]] * 300, 8))


@pytest.mark.parametrize("titles", [[], ["one of a kind"], ["every", "word", "differs"], ["same", "same"]])
def test_too_little_is_said_for_any_vector(titles):
    assert text_vectors(titles, [[]] * len(titles), 8).to_pylist() == [None] * len(titles)


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.decomposition", None)
    with pytest.raises(ConfigError, match=r"install the extra with pip install .* '\.\[steps,text\]'"):
        text_vectors(TITLES, LABELS, 3)
