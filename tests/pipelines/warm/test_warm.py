"""A warm interpreter is the real one to whoever starts it: output, environment, exit codes, signals, deaths."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipelines.warm import server
from pipelines.warm.start import warm_python

ROOT = Path(__file__).parents[3]
MODULE = """
import json, os, signal, sys, time
what, *rest = sys.argv[1:]
print(json.dumps({"argv": sys.argv[1:], "name": __name__, "folder": os.getcwd(), "colour": os.environ.get("COLOUR"),
                  "parent": os.getppid(), "executable": sys.executable, "session": os.getsid(0), "pid": os.getpid()}))
print("to stderr", file=sys.stderr)
sys.stdout.flush()
if what == "exit":
    sys.exit(int(rest[0]))
if what == "word":
    sys.exit(rest[0])
if what == "raise":
    raise KeyError("gone")
if what == "die":
    os.kill(os.getpid(), int(rest[0]))
if what == "read":
    print(sys.stdin.read())
if what == "wait":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    print("waiting", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a module that does as it is told."""
    path = tmp_path_factory.mktemp("warm")
    (path / "told.py").write_text(MODULE)
    return path


@pytest.fixture(scope="module")
def python(folder):
    """The warm interpreter; what the module needs is imported before."""
    before = os.environ.get("PYTHONPATH", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), str(ROOT), before])))
        with warm_python({}) as python:
            yield python


def start(python: str, *arguments: str, **settings) -> subprocess.Popen:
    return subprocess.Popen([python, "-m", "told", *arguments], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **settings)


def told(python: str, *arguments: str, **settings) -> tuple[int, dict, str]:
    """Exit code, what the module said of itself, and standard error."""
    process = start(python, *arguments, **settings)
    out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out.splitlines()[0]), err


def test_it_is_a_fork_that_looks_like_a_process_of_its_own(python, tmp_path):
    code, said, err = told(python, "exit", "0", cwd=tmp_path, env=os.environ | {"COLOUR": "blue"})
    again = told(python, "exit", "0")[1]
    assert code == 0 and err == "to stderr\n"
    assert said["argv"] == ["exit", "0"] and said["name"] == "__main__" and said["folder"] == str(tmp_path)
    assert said["colour"] == "blue" and again["colour"] is None
    assert said["parent"] == again["parent"] != os.getpid() and said["pid"] != again["pid"]
    assert said["executable"] == python, "what it starts is warm too"


@pytest.mark.parametrize("code", [0, 1, 75])
def test_its_exit_code_is_ours(python, code):
    assert told(python, "exit", str(code))[0] == code


def test_a_word_instead_of_a_code_is_told(python):
    code, _, err = told(python, "word", "enough")
    assert code == 1 and err.endswith("enough\n")


def test_an_error_ends_it_with_its_traceback(python):
    code, _, err = told(python, "raise")
    assert code == 1 and "KeyError: 'gone'" in err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_that_ends_it_ends_us(python, number):
    assert told(python, "die", str(int(number)))[0] == -number


def test_standard_input_is_ours(python):
    process = start(python, "read", stdin=subprocess.PIPE)
    assert process.communicate("words", timeout=120)[0].endswith("words\n")


def test_a_request_to_stop_reaches_it(python):
    process = start(python, "wait")
    assert process.stdout.readline() and process.stdout.readline() == "waiting\n"
    process.terminate()
    assert process.wait(timeout=60) == 75


def test_it_dies_if_who_stands_for_it_is_killed(python):
    process = start(python, "wait")
    pid = json.loads(process.stdout.readline())["pid"]
    assert process.stdout.readline() == "waiting\n"
    process.kill()
    process.wait()
    assert process.stdout.read() == "", "the other end of the pipe is closed"
    assert gone(pid)


def gone(pid: int) -> bool:
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_session_of_its_own_stays_its_own(python):
    here = told(python, "exit", "0")[1]
    apart = told(python, "exit", "0", start_new_session=True)[1]
    assert here["session"] == os.getsid(0) and apart["session"] == apart["pid"]


def test_anything_but_a_module_is_the_real_interpreters(python):
    done = subprocess.run([python, "-c", "import os, sys; print(sys.executable, os.getppid())"], text=True,
                          capture_output=True, check=True)
    assert done.stdout.split() == [sys.executable, str(os.getpid())]


def test_a_release_is_verified_by_a_process_that_knows_nothing(python):
    done = subprocess.run([python, "-X", "importtime", "-c", ""], capture_output=True, check=True)
    assert b"import time:" in done.stderr, "options are the real interpreter's too"
    done = subprocess.run([python, "-m", "pinrec_core.release.verify", "--help"], text=True, capture_output=True,
                          check=True, env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"})
    assert "usage: " in done.stdout and "import time:" in done.stderr, "a fork would have imported nothing"


def test_where_no_socket_fits_the_interpreter_is_ours(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with warm_python({}) as python:
        assert subprocess.run([python, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True,
                              check=True).stdout.strip() == sys.executable


def test_many_at_once_get_their_own_answers(python):
    processes = [start(python, "exit", str(n)) for n in range(20)]
    assert [process.wait(timeout=120) for process in processes] == list(range(20))
    for process in processes:
        process.communicate()


def test_without_a_server_it_is_the_real_interpreter(folder):
    with warm_python({}) as python:
        kept = Path(python).read_text()
    script = folder / "python"
    script.write_text(kept)
    script.chmod(0o700)
    environment = os.environ | {"PYTHONPATH": str(folder)}
    code, said, _ = told(str(script), "exit", "7", env=environment)
    assert code == 7 and said["executable"] == sys.executable and said["parent"] == os.getpid()


STARTER = """
import subprocess, time
from pipelines.warm.start import warm_python
with warm_python({}) as python:
    subprocess.run([python, "-m", "told", "exit", "0"])
    time.sleep(600)
"""


def test_the_server_ends_with_who_started_it_even_if_that_is_killed(folder):
    process = subprocess.Popen([sys.executable, "-c", STARTER], text=True, stdout=subprocess.PIPE, cwd=ROOT,
                               env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"})
    pid = json.loads(process.stdout.readline())["parent"]
    process.kill()
    process.wait()
    assert gone(pid)


IMPORTER = """
import os, importlib
from pipelines.warm.server import AT_START, NEEDS
for name in [*AT_START, *(name for names in NEEDS.values() for name in names)]:
    importlib.import_module(name)
for task in os.listdir("/proc/self/task"):
    print(open(f"/proc/self/task/{task}/comm").read().strip())
"""


def test_what_is_imported_beforehand_can_be_forked():
    done = subprocess.run([sys.executable, "-c", IMPORTER], text=True, capture_output=True, check=True, cwd=ROOT,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    threads = sorted(done.stdout.split())
    assert [name for name in threads if name != "jemalloc_bg_thd"] == ["python"], "that one is started again by a fork"


def test_what_needs_an_import_exists():
    for kind in server.NEEDS:
        if "." in kind:
            assert importlib.util.find_spec(kind)
        else:
            assert (ROOT / "components" / f"{kind}.py").is_file()
