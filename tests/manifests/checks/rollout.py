"""A rolling update and a drained node lose no request."""

from __future__ import annotations

from collections.abc import Iterator

from checks.built import Built, Finding, Object, Pod
from checks.command import Unparsable, serve_config
from pinrec_core.errors import ConfigError

TO_END_S = 5  # for the process to end after its last answer


def check(built: Built) -> Iterator[Finding]:
    """Rule rollout."""
    for pod in built.pods():
        for container in pod.spec["containers"]:
            yield from (Finding("rollout", pod.name, problem) for problem in _of_container(built, pod, container))


def _of_container(built: Built, pod: Pod, container: Object) -> Iterator[str]:
    try:
        config = serve_config(built, pod, container)
    except (Unparsable, ConfigError):  # told by rule command
        return
    if config is None:
        return
    wait = _pre_stop_s(container)
    needed, given = wait + config.drain_s + TO_END_S, pod.spec.get("terminationGracePeriodSeconds", 30)
    if wait < 5:
        yield f"preStop waits {wait} s; balancers need longer to hear that a pod goes"
    if given < needed:
        yield (f"terminationGracePeriodSeconds is {given}; preStop {wait}, serve.drain_s {config.drain_s} and the end "
               f"need {needed}")
    spec = pod.owner["spec"]
    strategy = spec.get("strategy") or spec.get("predictor", {}).get("deploymentStrategy", {})
    if strategy.get("rollingUpdate", {}).get("maxUnavailable") != 0:
        yield "maxUnavailable is not 0: an update takes pods away before their successors answer"


def _pre_stop_s(container: Object) -> int:
    hook = container.get("lifecycle", {}).get("preStop", {})
    words = hook.get("exec", {}).get("command", [])
    return int(words[1]) if words[:1] == ["sleep"] else hook.get("sleep", {}).get("seconds", 0)
