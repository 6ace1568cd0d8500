"""The runner's output, taken apart line by line."""

from __future__ import annotations

import io
import threading
from pathlib import Path

from pipelines.progress import Progress
from pipelines.task_log import TaskLog
from pipelines.warm.client import PEAK

ROOT = Path("/place/tasks")


def started(component: str, surface: str = "", run: str = "run-1") -> str:
    return (f"12:00:00.000 - INFO - Executing task \x1b[96m'{component}'\x1b[0m\n"
            f"    [KFP Executor 2026-01-01 12:00:00,000 INFO]: Got executor_input:\n"
            + (f'            "surface": "{surface}",\n' if surface else "")
            + f'    "outputFile": "{ROOT}/{run}/loop-iteration-0/{component}/executor_output.json"\n')


def ended(component: str, status: str) -> str:
    return f"12:00:01.000 - INFO - Task '{component}' finished with status \x1b[92m{status}\x1b[0m\n"


def follow(*texts: str):
    """A TaskLog fed with the texts; returns it, what it filed and the changes it told of."""
    file, changes = io.StringIO(), []
    log = TaskLog(file, ROOT, lambda task, change: changes.append((change, task.name, task.latest)))
    for text in texts:
        log.write(text)
    return log, file.getvalue(), changes


def test_a_task_from_start_to_end():
    log, filed, changes = follow(started("finetune", "home"),
                                 "    [KFP Executor 2026-01-01 12:00:00,500 INFO]: finetune home epoch 1/4\n",
                                 "    [KFP Executor 2026-01-01 12:00:00,500 INFO]: Creating state cache\n",
                                 ended("finetune", "SUCCESS"))
    assert changes == [("running", "finetune home", ""), ("says", "finetune home", "finetune home epoch 1/4"),
                       ("done", "finetune home", "finetune home epoch 1/4")]
    assert log.run_id == "run-1"
    assert "\x1b" not in filed and "Creating state cache" in filed  # everything is filed, without colours


def test_a_users_mistake_is_told_in_its_own_words():
    log, _, changes = follow(started("validate-data"), "    Traceback (most recent call last):\n",
                             "    pinrec_core.errors.DataError: 2 checks failed\n", "      min_users: 3, limit 5\n",
                             "\n", ended("validate-data", "FAILURE"))
    assert changes[-1][0] == "failed"
    assert log.tasks[0].user_error == log.tasks[0].error == "2 checks failed\n  min_users: 3, limit 5"


def test_any_other_failure_ends_with_its_last_line():
    log, _, _ = follow(started("pretrain"), "    Traceback (most recent call last):\n", "    KeyError: 'x'\n",
                       ended("pretrain", "FAILURE"))
    assert (log.tasks[0].user_error, log.tasks[0].error) == ("", "KeyError: 'x'")
    assert "Traceback (most recent call last):" in log.tasks[0].lines


def test_a_cache_hit_is_a_task_that_did_not_run():
    log, _, changes = follow("Task pretrain cache hit (key=0123456789ab); skipping execution.\n")
    assert changes == [("cached", "pretrain", "")]
    assert log.run_id == ""


def test_tasks_of_a_loop_are_told_apart_by_their_threads():
    file, log_file_lock = io.StringIO(), threading.Barrier(2)
    log = TaskLog(file, ROOT, lambda task, change: None)

    def work(surface: str) -> None:
        log_file_lock.wait()
        log.write(started("evaluate", surface))
        log_file_lock.wait()  # both are running now
        for text in ("    half a li", f"ne of {surface}\n", ended("evaluate", "SUCCESS")):
            log.write(text)

    threads = [threading.Thread(target=work, args=(surface,)) for surface in ("home", "search")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(task.name, task.state) for task in log.tasks} == {("evaluate home", "done"), ("evaluate search", "done")}
    for surface in ("home", "search"):
        assert f"evaluate {surface} |".ljust(24) + f" half a line of {surface}\n" in file.getvalue()


def test_progress_is_a_line_at_start_and_end_and_calls_a_rejection_by_its_name():
    shown = io.StringIO()
    log = TaskLog(io.StringIO(), ROOT, Progress(shown))
    for text in (started("gate"), ended("gate", "SUCCESS"), started("reject"), ended("reject", "FAILURE")):
        log.write(text)
    words = [line.split()[1:3] for line in shown.getvalue().splitlines()]
    assert words == [["start", "gate"], ["done", "gate"], ["start", "reject"], ["refused", "reject"]]


def test_how_a_task_was_ended_comes_before_its_last_line():
    log, _, _ = follow(started("gate"), "    half a lin\n",
                       '    pinrec-step-end: {"code": -9, "peak_kib": 2048, "limit_s": 0.0}\n', "    Killed\n",
                       ended("gate", "FAILURE"))
    assert log.tasks[0].error.startswith("was killed (SIGKILL, exit code 137)") and "2 MiB" in log.tasks[0].error
    assert list(log.tasks[0].lines)[-2:] == ["half a lin", "Killed"]


def test_the_peak_of_a_task_is_that_of_its_largest_process():
    log, _, _ = follow(started("pretrain"), f"    INFO {PEAK}700000\n", "    done\n", f"    {PEAK}300000\n",
                       ended("pretrain", "SUCCESS"))
    assert log.tasks[0].peak_kib == 700000
    assert list(log.tasks[0].lines)[-1] == "done", "it is no line of the task"


def test_gate_is_of_no_surface_though_it_reads_artifacts_of_all():
    log, _, _ = follow(started("gate", "search"), ended("gate", "SUCCESS"))
    assert log.tasks[0].name == "gate"
