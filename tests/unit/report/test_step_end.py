"""Exit codes, signals and errors of memory in words."""

from __future__ import annotations

import pytest

from pinrec_core.errors import DataError, TrainingError
from pinrec_core.report.step_end import StepEnd, end_in_words, is_memory_error


@pytest.mark.parametrize("code", [-9, 137])
def test_a_kill_is_told_as_lack_of_memory_with_what_was_used(code):
    said = end_in_words("finetune home", StepEnd(code, 812 * 1024))
    assert said.startswith("was killed (SIGKILL, exit code 137), as the kernel does when memory runs out; it had 812 ")
    assert "targets.NAME.steps.finetune.memory" in said


@pytest.mark.parametrize(("code", "name"), [(-11, "SIGSEGV, exit code 139"), (143, "SIGTERM, exit code 143"),
                                            (-60, "signal 60, exit code 188")])
def test_other_signals_are_named_and_blame_no_memory(code, name):
    said = end_in_words("build-index home", StepEnd(code))
    assert f"was killed ({name}); how much it had is not known" in said and "memory" not in said


def test_a_time_limit_comes_before_the_signal_that_kept_it():
    said = end_in_words("build-index home", StepEnd(-9, 1024, 60.0))
    assert said.startswith("took longer than its limit of 60 s") and "steps.build_index.timeout_s" in said


@pytest.mark.parametrize(("error", "memory"), [
    (MemoryError(), True),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"), True),
    (TrainingError("the training process ended with OutOfMemoryError: CUDA out of memory"), True),
    (TrainingError("pretrain: died 2 times, killed by SIGKILL, as the kernel does when memory runs out"), False),
    (DataError("3 rows have no user"), False)])
def test_memory_is_known_by_type_or_by_word(error, memory):
    assert is_memory_error(error) is memory
