"""Signals are listened to while training runs, in the main thread, and what was there before comes back."""

from __future__ import annotations

import signal
import threading

import pytest

from pinrec_core.errors import Preempted
from pinrec_core.training.stop import StopSignals


def handlers() -> tuple:
    return signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_the_check(number):
    before = handlers()
    with StopSignals("pretrain") as stop:
        stop.check()
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)  # some launchers ask more than once
        with pytest.raises(Preempted, match=f"pretrain: stopped by {signal.Signals(number).name}"):
            stop.check()
    assert handlers() == before


def test_a_signal_that_waited_is_heard_where_it_may_be_at_once():
    with StopSignals("pretrain") as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Preempted), stop.at_once():
            pytest.fail("nothing long is begun any more")


def test_after_an_at_once_block_signals_wait_again():
    with StopSignals("pretrain") as stop:
        with stop.at_once():
            pass
        signal.raise_signal(signal.SIGTERM)
        assert stop.received == "SIGTERM"


def test_the_second_interrupt_does_what_it_always_did():
    before = handlers()
    with pytest.raises(KeyboardInterrupt), StopSignals("pretrain"):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert handlers() == before


def test_other_threads_take_no_handlers():
    before, seen = handlers(), []

    def listen() -> None:
        with StopSignals("pretrain") as stop:
            seen.append(handlers())
            stop.check()

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before] and handlers() == before
