"""Other programs asked as commands, each with a time limit: kubectl, minikube, docker, and this Python in a process of
its own for what may hang in a client library.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

from pinrec_core.errors import PinrecError

LIMIT_S = 20  # seconds that one command may take


class Unanswered(PinrecError):
    """A program is missing, did not end in time, or did not answer as it should."""


class Answer(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """The last line of what it said, which is where programs say what went wrong."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1] if lines else f"exit code {self.code} without a word"

    def document(self) -> Any:
        """Standard output as JSON. Raises Unanswered if it is none."""
        try:
            return json.loads(self.out)
        except json.JSONDecodeError as error:
            raise Unanswered(f"no JSON: {self.reason}") from error


def ask(command: Sequence[str], limit_s: float = LIMIT_S, told: str = "") -> Answer:
    """Run a command to its end, with `told` as its standard input, which nobody else on the machine sees.

    Raises Unanswered if it is not installed or takes longer than `limit_s` seconds.
    """
    if not shutil.which(command[0]):
        raise Unanswered(f"{command[0]} not found")
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit_s,
                              input=told, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unanswered(f"{command[0]} did not answer within {limit_s:g} s") from error
    except OSError as error:
        raise Unanswered(f"{command[0]} cannot be started: {error}") from error
    return Answer(done.returncode, done.stdout, done.stderr)


class Kubectl(NamedTuple):
    """kubectl on one cluster."""

    context: str = ""  # "" = the current one

    def ask(self, *arguments: str) -> Answer:
        """Run kubectl. Raises Unanswered if it cannot be run or takes too long."""
        context = [f"--context={self.context}"] if self.context else []
        return ask(["kubectl", *context, f"--request-timeout={LIMIT_S // 2}s", *arguments])

    def document(self, *arguments: str) -> dict[str, Any]:
        """What kubectl prints as JSON. Raises Unanswered with what the server said."""
        answer = self.ask(*arguments, "--output=json")
        if answer.code:
            raise Unanswered(answer.reason)
        return answer.document()

    def find(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """An object, None if there is none of that name. Raises Unanswered if the server does not tell."""
        place = [f"--namespace={namespace}"] if namespace else []
        answer = self.ask("get", kind, name, *place, "--ignore-not-found", "--output=json")
        if answer.code:
            raise Unanswered(answer.reason)
        return answer.document() if answer.out.strip() else None

    def items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """All objects of a kind. Raises Unanswered if the server does not tell."""
        return self.document("get", kind, *arguments)["items"]
