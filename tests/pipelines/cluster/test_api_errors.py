"""Every failure of the API ends in an exit code and one line: host, what was asked, status, next step."""

from __future__ import annotations

import socket
import time

import pytest
from kfp_server import send, silent
from quoted import says

FAILED, AGAIN = 1, 75
LATE = silent(0.6)  # for one who is impatient
COMMANDS = {"submit": ("submit", "-t", "prod", "--date", "2026-01-08"), "list": ("schedule", "list"),
            "backfill": ("backfill", "2026-01-08", "2026-01-08", "-t", "prod")}


def one_line(done) -> str:
    """The error, of which there is one line."""
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in done.err and done.err.splitlines()[-1] == errors[0]
    return errors[0]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("status", "code", "step"), [
    (400, FAILED, "correct what it names"),
    (401, FAILED, "put a token that is valid into environment variable PINREC_KFP_TOKEN"),
    (403, FAILED, "this token's account may not do that in namespace kubeflow"),
    (404, FAILED, "targets.*.host is not where the API is"),
    (429, AGAIN, "it is asked too often; run it again later"),
    (500, AGAIN, "the log of the ml-pipeline pod says why"),
    (503, AGAIN, "the log of the ml-pipeline pod says why")])
def test_a_status_is_one_line_and_an_exit_code(pinrec, server, command, status, code, step):
    server.fail(".", status, times=99, body='{"code": 7, "message": "the server\'s\\n own words", "details": []}')
    done = pinrec(*COMMANDS[command])
    line = one_line(done)
    assert done.code == code
    for part in (server.url, "ask for its health", str(status), "the server's own words", step):
        assert part in line, part


@pytest.mark.parametrize(("what", "path"), [
    ("look for experiment 'pinrec'", "GET /experiments"), ("create experiment 'pinrec'", "POST /experiments"),
    ("create pipeline 'PinRec training'", "POST /pipelines$"), ("upload pipeline version", "POST /pipelines/upload"),
    ("create run 'tiny-2026-01-08-", "POST /runs"), ("look at run", "GET /runs/")])
def test_the_line_says_what_was_asked(pinrec, server, what, path):
    server.fail(path, 403)
    done = pinrec(*COMMANDS["submit"], "--wait")
    assert done.code == FAILED and what in one_line(done) and "403 Forbidden" in one_line(done)


def test_a_refusal_is_what_the_pages_say(pinrec, server):
    server.fail("POST /runs", 403, body='{"message": "User is not authorized"}')
    line = one_line(pinrec(*COMMANDS["submit"]))
    says("error: http...: create run '...': 403 Forbidden: ...; this token's account may not do that in namespace "
         "kubeflow; have the role granted, or use another token", line)
    says("error: ...: 403 ...; this token's account may not do that in namespace ...; have the role granted, or use "
         "another token", line)
    server.fail(".", 401)
    says("error: ...: 401 ...; put a token that is valid into environment variable ... (targets.*.token_env)",
         one_line(pinrec(*COMMANDS["list"])))


def test_what_changes_nothing_is_tried_again(pinrec, server):
    for path in ("GET /healthz", "GET /pipelines$", "GET /experiments", "GET /runs"):
        server.fail(path, 503, times=2)
    assert pinrec(*COMMANDS["submit"]).code == 0
    assert server.asked("GET /healthz") == 3


def test_retry_after_is_kept_to(pinrec, server):
    server.fail("GET /healthz", 429, headers={"Retry-After": "1"})
    server.fail("POST /runs", 429, headers={"Retry-After": "1"})
    start = time.monotonic()
    assert pinrec(*COMMANDS["submit"]).code == 0
    assert time.monotonic() - start >= 2 and len(server.runs) == 1


@pytest.mark.parametrize("path", ["POST /runs", "POST /experiments", "POST /pipelines$", "POST /pipelines/upload"])
@pytest.mark.parametrize("answer", [LATE, lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
                                    lambda handler: send(handler, 504, b"", {})])
def test_a_creation_whose_answer_is_lost_happens_once(pinrec, server, path, answer, request):
    if answer is LATE:
        request.getfixturevalue("impatient")
    server.fail(path, after=True, answer=answer)
    assert pinrec(*COMMANDS["submit"]).code == 0
    for there in (server.runs, server.experiments, server.pipelines, server.versions):
        assert len(there) == 1
    assert server.asked(path) == 1


@pytest.mark.parametrize("path", ["POST /runs", "POST /experiments", "POST /pipelines$", "POST /pipelines/upload"])
def test_a_creation_that_did_not_happen_is_tried_again(pinrec, server, path):
    server.fail(path, 503, times=2)
    assert pinrec(*COMMANDS["submit"]).code == 0 and server.asked(path) == 3 and len(server.runs) == 1


def test_who_comes_second_takes_what_the_first_has_made(pinrec, server, world, pipeline):
    """409: between looking and creating, another has created it."""
    def another(handler) -> None:
        server.experiments["theirs"] = {"experiment_id": "theirs", "display_name": "pinrec"}
        send(handler, 409, b'{"message": "Already exist error"}', {})

    server.fail("POST /experiments", answer=another)
    assert pinrec(*COMMANDS["submit"]).code == 0
    assert next(iter(server.runs.values()))["experiment_id"] == "theirs" and len(server.experiments) == 1


def test_a_conflict_with_something_that_is_not_to_be_found_is_told(pinrec, server):
    server.fail("POST /experiments", 409, times=9, body='{"message": "an archived one has the name"}')
    done = pinrec(*COMMANDS["submit"])
    assert done.code == FAILED
    assert "409 Conflict: an archived one has the name; something of this name was there first" in one_line(done)
    assert server.asked("POST /experiments") == 1


def test_no_connection(pinrec, world):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    world.content["targets"]["prod"]["host"] = host
    done = pinrec(*COMMANDS["submit"])
    line = one_line(done)
    assert done.code == AGAIN and line.startswith(f"error: {host}: ask for its health: no connection (")
    assert "Connection refused" in line and "after 6 attempts; see that targets.*.host is right" in line


def test_no_such_host(pinrec, world):
    world.content["targets"]["prod"]["host"] = "http://nowhere.invalid"
    done = pinrec(*COMMANDS["submit"])
    assert done.code == AGAIN and "http://nowhere.invalid: ask for its health: no connection" in one_line(done)


def test_no_answer(pinrec, server, impatient):
    server.fail(".", times=99, answer=silent(0.6))
    done = pinrec(*COMMANDS["submit"])
    assert done.code == AGAIN and "no answer within 0.3 s after 3 attempts; run it again later" in one_line(done)


def test_a_connection_that_breaks(pinrec, server):
    server.fail(".", times=99, answer=lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))
    done = pinrec(*COMMANDS["submit"])
    assert done.code == AGAIN and "the connection broke (" in one_line(done)


@pytest.mark.parametrize(("body", "kind"), [
    ("<html><title>Log in</title></html>", "text/html"), ("[1, 2]", "application/json"), ("{", "application/json")])
def test_an_answer_that_is_no_json_object(pinrec, server, body, kind):
    server.fail(".", 200, times=99, body=body, headers={"Content-Type": kind})
    done = pinrec(*COMMANDS["submit"])
    assert done.code == FAILED
    assert f"200, but the answer is no JSON object ({kind}: {body!r}); a page to log in" in one_line(done)


def test_a_login_that_stands_before_it(pinrec, server):
    server.fail(".", 302, times=99, body="", headers={"Location": "https://login.example/?secret=1"})
    done = pinrec(*COMMANDS["submit"])
    assert done.code == FAILED and "302 Found: it redirects, so a login stands before it; put a token" in one_line(done)
    assert server.asked(".") == 1


def test_an_error_page_is_cut_short(pinrec, server):
    server.fail(".", 403, body="<p>" + "no " * 1000)
    assert len(one_line(pinrec(*COMMANDS["submit"]))) < 600


def test_the_token_goes_along_and_is_never_told(pinrec, server, world, monkeypatch):
    world.content["targets"]["prod"]["token_env"] = "OTHER_TOKEN"
    server.token = "s3cret-0f-the-cluster"
    done = pinrec(*COMMANDS["submit"])
    assert done.code == FAILED and "401 Unauthorized: Failed to authenticate token" in one_line(done)
    assert "environment variable OTHER_TOKEN" in done.err
    monkeypatch.setenv("OTHER_TOKEN", server.token)
    assert pinrec(*COMMANDS["submit"]).code == 0
    server.fail("GET /healthz", 403)
    assert server.token not in pinrec(*COMMANDS["submit"]).err


def test_a_field_that_the_backend_does_not_know_is_refused_as_a_real_one_does(pinrec, server, monkeypatch):
    from pipelines.cluster import submission

    known = submission.run_body
    monkeypatch.setattr(submission, "run_body", lambda *arguments: known(*arguments) | {"experimentName": "x"})
    done = pinrec(*COMMANDS["submit"])
    assert done.code == FAILED and 'unknown field "experimentName" in V2beta1Run' in one_line(done)
