"""Every message that a page quotes is provoked by a test, which compares all of it: what counts, and how: quoted.py.

What is said at run time is compared there. Here the sources of the tests are read: whose words `says` is given.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import quoted
from quoted import ROOT, Message, messages, quoted_by, says

from pinrec_core.errors import DataError, Preempted, ReleaseRejected

NOT_RUN = ("tests/containers", "tests/docs/test_messages.py")  # make test-containers alone; and what is below
SAYS_SO = re.compile(r"^ *(?:(?:error|rejected|preempted|too old|not sent|Failed|Rejected)(?:: |, )|{\"error\")",
                     re.MULTILINE)


def calls(source: str) -> Iterator[tuple[int, str | None]]:
    """(line, words) of every call of `says` in a source; None for words that are no literal, or not in a test."""
    tree = ast.parse(source)
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    inside = {id(node) for test in tests for node in ast.walk(test)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "says":
            words = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            yield node.lineno, words if id(node) in inside else None


@pytest.fixture(scope="module")
def claims() -> dict[str, str]:
    """Words -> a test that claims them."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        if not where.startswith((*NOT_RUN, "tests/quoted.py")):
            for line, words in calls(path.read_text("utf-8")):
                assert words, f"{where}:{line}: says() wants the words as a literal, in a test"
                found[words] = f"{where}:{line}"
    return found


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.where)
def test_a_test_provokes_it(claims, message):
    assert message.text in claims, f"{message.where} quotes what no test provokes; hand it to quoted.says there"


def test_no_test_claims_what_no_page_quotes(claims):
    known = {message.text for message in messages()}
    assert {where: words for words, where in claims.items() if words not in known} == {}


def test_a_message_stands_where_it_is_found():
    for page in quoted.pages():
        elsewhere = SAYS_SO.search(quoted.other_blocks(page.read_text("utf-8")))
        assert not elsewhere, f"{page.name}: {elsewhere and elsewhere[0]}... stands in a block that is not `text`"
        executed = page.relative_to(ROOT).as_posix() in quoted.EXECUTED
        assert executed or "```\n\n```text" not in page.read_text("utf-8"), f"{page.name}: whose output is compared?"


def test_what_is_quoted_is_found():
    page = ("It says `... is odd here` or \"... is even\n here\", see `pinrec run --json FILE`, `a = 1`, `two words`.\n"
            "\n```text\nerror: ...: one\n  goes on\nFailed: two\n```\n\n    error: of a listing\n\n```toml\n[a]\n```\n")
    assert [*quoted_by("docs/a.md", page)] == [
        Message("docs/a.md:5", "error: ...: one goes on"), Message("docs/a.md:7", "Failed: two"),
        Message("docs/a.md:1", "... is odd here"), Message("docs/a.md:1", "... is even here")]
    assert SAYS_SO.search(quoted.other_blocks(page))
    shown = "```sh\npinrec run\n```\n\n```text\nerror: shown\n```\n"
    assert not [*quoted_by("docs/tour.md", shown)] and [*quoted_by("docs/other.md", shown)]
    assert len(messages()) > 50 and {message.where.split(":")[0] for message in messages()} > {
        "docs/runbook.md", "docs/failures.md", "docs/how-to/rejected.md", "docs/serving.md"}


def test_a_claim_is_read_from_the_source():
    source = ("def test_a():\n    quoted.says('one '\n 'message', error)\n    says(words, error)\n"
              "def helper():\n    says('two', error)\n")
    assert [*calls(source)] == [(2, "one message"), (4, None), (6, None)]


def test_what_nobody_provokes_and_what_nobody_quotes_would_be_noticed(claims):
    with pytest.raises(AssertionError, match="no test provokes"):
        test_a_test_provokes_it(claims, Message("here", "error: ...: Jupiter aligns badly tonight; postpone all"))
    with pytest.raises(AssertionError):
        test_no_test_claims_what_no_page_quotes(claims | {"Jupiter aligns badly": "here"})
    with pytest.raises(AssertionError, match="no page quotes"):
        says("Jupiter aligns badly", "Jupiter aligns badly")


NO_TARGETS = "error: ...: no training targets; check the window, the surface and the user split"
NO_STORE = "there is no event store"


@pytest.mark.parametrize("said", [
    DataError("home: no training targets; check the window, the surface and the users' split"),  # a changed word
    DataError("home: no training targets; check the window, the surface and the user split, or wait"),  # more
    DataError("no training targets; check the window, the surface and the user split"),  # less
    Preempted("home: no training targets; check the window, the surface and the user split"),  # told as another kind
    ReleaseRejected("home: no training targets; check the window, the surface and the user split"),
    "home: no training targets; check the window, the surface and the user split"])
def test_what_is_said_otherwise_would_be_noticed(said):
    with pytest.raises(AssertionError, match="what was said is"):
        says(NO_TARGETS, said)


def test_all_of_it_is_compared():
    says(NO_TARGETS, DataError("home: no training targets; check the window, the surface and the user split"))
    says(NO_TARGETS, "12:00:00 INFO begins\nerror: home: no training targets; check the window, the surface and the "
                     "user split\n")
    says(NO_STORE, DataError(NO_STORE))
    with pytest.raises(AssertionError, match="what was said is"):
        says(NO_STORE, DataError(f"{NO_STORE} here"))
    with pytest.raises(AssertionError, match="what was said is"):
        says(NO_STORE, f"{NO_STORE} here\n")


def test_metrics_of_the_runbook_are_those_of_the_service():
    page = (ROOT / "docs/runbook.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in Path(ROOT / "pinrec_core/serving").rglob("*.py"))
    for name in set(re.findall(r"pinrec_[a-z_]+", page)):
        assert re.sub("_(total|bucket)$", "", name) in code, name
