"""The engine, the image of this code, and the tiny world with one run after the other on it.

    make test-containers                with the engine that runs here; builds the image first
    .ci/engine make test-containers     starts an engine if none runs

Not part of `make test`. Without an engine everything here is skipped, and the closing lines say so.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from pinrec_core.config import Config, GateConfig
from pinrec_core.logs.synth import WORLDS, write_world
from pipelines.arguments import pipeline_arguments
from pipelines.compile import compile_training

ROOT = Path(__file__).parents[2]
TINY = ROOT / "pipelines/configs/tiny.toml"
IMAGE = os.environ.get("PINREC_TESTED_IMAGE", "pinrec:tested")
LAST_DAY = "2026-01-08"
UNREACHABLE = {"recall@50": 0.999}


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The container engine; skips if none answers."""
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no container engine answers: {error}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine) -> docker.models.images.Image:
    """The image that `make test-containers` has built."""
    return engine.images.get(IMAGE)


@pytest.fixture(scope="session")
def inside(engine, image) -> Callable[[str], str]:
    """What a shell command prints in a container without a network."""
    def run(command: str) -> str:
        container = engine.containers.create(image.id, ["sh", "-ec", command], network_mode="none")
        try:
            container.start()
            code = container.wait()["StatusCode"]
            # Read once it has ended: a log that is followed can lose its end with the container.
            assert code == 0, container.logs().decode()
            return container.logs(stderr=False).decode()
        finally:
            container.remove(force=True)
    return run


@pytest.fixture
def started(engine, image) -> Iterator[Callable[..., Container]]:
    """Starts containers without a network, and removes them after the test."""
    containers: list[Container] = []

    def start(command: list[str], **options: Any) -> Container:
        containers.append(engine.containers.run(image.id, command, network_mode="none", detach=True, **options))
        return containers[-1]
    yield start
    for container in containers:
        container.remove(force=True)


@dataclass(frozen=True)
class Finished:
    """What one run of the pipeline has left."""

    registry: Path
    folder: Path  # of the run, in the registry
    log: str  # everything that was printed

    def document(self, name: str) -> dict[str, Any]:
        """A JSON document of the run's folder."""
        path = self.folder / name
        assert path.is_file(), f"{path} is missing\n{self.log[-8000:]}"
        return json.loads(path.read_text("utf-8"))


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """The tiny world, in a folder that any user may write to."""
    root = tmp_path_factory.mktemp("containers")
    write_world(root / "data", WORLDS["tiny"])
    for name in ("tasks", "scratch", "cache", "registry"):
        (root / name).mkdir()
        (root / name).chmod(0o777)
    root.chmod(0o777)
    return root


@pytest.fixture(scope="session")
def promoted(image, world) -> Finished:
    """The first run: nothing is live yet."""
    return _run(world, Config.load(TINY))


@pytest.fixture(scope="session")
def rejected(image, world, promoted) -> Finished:
    """The same with floors that nothing reaches, over what the first has promoted."""
    tiny = Config.load(TINY)
    floors = {surface: UNREACHABLE for surface in tiny.log.surfaces}
    gate = GateConfig.parse(json.dumps(tiny.gate.model_dump(mode="json") | {"floors": floors}))
    return _run(world, tiny.model_copy(update={"gate": gate}))


def _run(world: Path, config: Config) -> Finished:
    registry = world / "registry"
    before = _runs(registry)
    pipeline = compile_training(world / "pipeline.yaml")  # the bytes of manifests/compiled, but for the image
    pipeline.write_text(re.sub(r"(?m)^( +image: ).*$", rf"\g<1>{IMAGE}", pipeline.read_text("utf-8")), "utf-8")
    (world / "arguments.json").write_text(json.dumps(pipeline_arguments(
        config, events=str(world / "data/events"), catalog=str(world / "data/catalog"), registry=str(registry),
        date=LAST_DAY)), "utf-8")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("run_compiled.py"), pipeline, world / "arguments.json", world],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=world)
    made = _runs(registry) - before
    assert len(made) == 1, f"{len(made)} run folders were made\n{done.stdout[-8000:]}"
    return Finished(registry, made.pop(), done.stdout)


def _runs(registry: Path) -> set[Path]:
    return set((registry / "runs").glob("*"))
