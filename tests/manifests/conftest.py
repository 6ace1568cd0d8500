"""The kustomizations, each as a deployment would compose it. Without kubectl they cannot be built, and are skipped."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from checks import Built, build
from starlette.routing import Route

from pinrec_core.config import ServeConfig
from pinrec_core.serving.app import build_app
from pinrec_core.serving.service import Service

ROOT = Path(__file__).parents[2]
MADE = re.compile(r"^\| `([A-Z]\w+/[\w.-]+)` \|", re.MULTILINE)  # docs/deploy.md: what the operator makes
Compose = Callable[..., Built]


@pytest.fixture(scope="session")
def routes(tmp_path_factory) -> frozenset[str]:
    """Paths that the app of `pinrec serve` answers to GET."""
    scratch = tmp_path_factory.mktemp("scratch")
    app = build_app(Service(ServeConfig(registry=str(scratch)), scratch))
    return frozenset(route.path for route in app.routes if isinstance(route, Route) and "GET" in route.methods)


@pytest.fixture
def manifests(tmp_path) -> Path:
    """A copy of manifests/ to be composed, and broken."""
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl: the manifests cannot be built")
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns("compiled"))
    return tmp_path / "manifests"


@pytest.fixture
def compose(manifests, routes) -> Compose:
    """Build an overlay of the copy, with components, with what is known around it."""
    operator = frozenset(MADE.findall((ROOT / "docs/deploy.md").read_text("utf-8")))

    def built(overlay: str, *components: str, namespace: str = "") -> Built:
        folder = manifests / overlay
        if components:
            folder = manifests / "overlays/composed"
            folder.mkdir()
            (folder / "kustomization.yaml").write_text(yaml.safe_dump({
                "namespace": namespace, "resources": [f"../../{overlay}"],
                "components": [f"../../components/{name}" for name in components]}), "utf-8")
        return build(folder, production="gke" in overlay, operator=operator, routes=routes)

    return built
