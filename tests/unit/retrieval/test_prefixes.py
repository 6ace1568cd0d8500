"""What was read before is found again by content, shared as far as histories agree, and bounded in bytes."""

import numpy as np
import pytest

from pinrec_core.config import GenerationConfig
from pinrec_core.data.batch import History
from pinrec_core.retrieval.generate import Generator, recent
from pinrec_core.retrieval.plan import Question
from pinrec_core.retrieval.prefixes import PrefixCache

SHARES = {"click": 0.7, "save": 0.3}
MEMORY = np.arange(2 * 3 * 5 * 4, dtype=np.float32).reshape(2, 3, 5, 4)  # of a history of 5 tokens


def history(*items: int) -> History:
    return History(np.array(items), np.ones(len(items), int), np.zeros(len(items), np.int8),
                   1000 * np.arange(1, len(items) + 1))


@pytest.mark.parametrize("later, common", [((1, 2, 3, 4, 5), 4), ((1, 2, 3, 4, 5, 6), 5), ((1, 2, 3, 9, 9), 3),
                                           ((1, 9), 1), ((1,), 0), ((2, 3), 0), ((), 0)])
def test_histories_share_what_they_have_in_common_but_their_last_token(later, common):
    prefixes = PrefixCache(1)
    prefixes.keep(history(1, 2, 3, 4, 5).packed_T4, None, MEMORY)
    known = prefixes.known(history(*later).packed_T4)
    if common:
        assert np.array_equal(known, MEMORY[:, :, :common])
    else:
        assert known is None


@pytest.mark.parametrize("column", range(4))
def test_any_difference_in_a_token_ends_what_is_common(column):
    prefixes, known = PrefixCache(1), history(1, 2, 3, 4, 5)
    prefixes.keep(known.packed_T4, None, MEMORY)
    other = [values.copy() for values in known]
    other[column][2] += 1
    assert prefixes.known(History(*other).packed_T4).shape[2] == 2


def test_the_least_recently_used_go_when_bytes_run_out():
    prefixes = PrefixCache(3 * (MEMORY.nbytes + 5 * 4 * 8) / 2**20)
    for first in range(4):
        prefixes.keep(history(first, 2, 3, 4, 5).packed_T4, None, MEMORY)
        assert prefixes.known(history(0, 2, 3).packed_T4) is not None  # used again and again
    assert len(prefixes) == 3 and prefixes.known(history(1, 2, 3).packed_T4) is None
    tiny = PrefixCache(1e-6)
    tiny.keep(history(1, 2, 3, 4, 5).packed_T4, None, MEMORY)
    assert len(tiny) == 0


def test_a_returning_user_gets_the_same_queries_and_reads_only_what_is_new(model, histories):
    vectors_ID, generation = model.search_vectors("home").numpy(), GenerationConfig(steps=3)
    fresh, read = Generator(model, generation, vectors_ID), []
    remembering = Generator(model, generation, vectors_ID, prefixes=PrefixCache(8))
    compute = remembering.engine
    remembering.engine = lambda inputs: (read.append(inputs.tokens.position_BT), compute(inputs))[1]
    grown = [History(*(column[:length] for column in history)) for length in (6, 7, 11, 11)
             for history in histories[11:12]]
    for past in grown:
        asked = Question("home", SHARES, np.array([past.time_T[-1] + 5000]))
        again, alone = remembering([past], asked), fresh([past], asked)
        assert np.abs(again.vector_BQD - alone.vector_BQD).max() < 1e-5
    assert [position_BT.tolist() for position_BT in read] == [[[1, 2, 3, 4, 5, 6]], [[7]], [[8, 9, 10, 11]], [[11]]]


def test_a_batch_mixes_known_and_unknown_histories(model, histories):
    vectors_ID, generation = model.search_vectors("home").numpy(), GenerationConfig(steps=2)
    remembering = Generator(model, generation, vectors_ID, prefixes=PrefixCache(8))
    times = np.array([(past.time_T[-1] if len(past.time_T) else 0) + 5000 for past in histories])
    asked = Question("home", SHARES, times)
    remembering(histories[5:9], Question("home", SHARES, times[5:9]))
    again = remembering(histories, asked).vector_BQD
    assert np.abs(again - Generator(model, generation, vectors_ID)(histories, asked).vector_BQD).max() < 1e-5


def test_a_long_history_keeps_its_beginning_for_an_eighth_of_its_length():
    begins = [recent(history(*range(length)), 64).item_T[0] for length in range(60, 90)]
    assert begins == [0] * 5 + [8] * 8 + [16] * 8 + [24] * 8 + [32]
    assert all(len(recent(history(*range(length)), 5).item_T) <= 5 for length in range(20))
