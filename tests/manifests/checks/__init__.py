"""What schemas of Kubernetes miss, each check a function from what kustomize built to findings.

    from checks import build, findings
    findings(build(Path("manifests/overlays/gke")))

A finding names rule, object and what is wrong with which value. tests/manifests/test_mistakes.py shows every rule to
find the mistake it is there for.
"""

from __future__ import annotations

from checks import command, hardening, names, references, resources, restricted, rollout, routes, schemas, selectors
from checks.built import Built, Finding, build

__all__ = ["Built", "Finding", "build", "findings"]
RULES = (schemas, names, resources, restricted, hardening, references, selectors, routes, command, rollout)


def findings(built: Built) -> list[Finding]:
    """What every rule has to say."""
    return [finding for rule in RULES for finding in rule.check(built)]
