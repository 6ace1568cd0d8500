"""A cluster's API on this machine, a configuration whose target it is, and the pinrec command in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cluster_world import Outcome, World
from kfp_server import KfpServer, serving

from pinrec_core.config import Config
from pipelines import cli
from pipelines.cluster import submission, transport
from pipelines.cluster.transport import Patience

# A connection that the server has closed meanwhile takes an attempt, too.
QUICK = Patience(retries=5, backoff_s=0.01, connect_s=0.5, answer_s=10.0, longest_pause_s=1, poll_s=0.02)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory) -> bytes:
    """The pipeline, compiled for a target for real."""
    with serving() as server:
        config = World(tmp_path_factory.mktemp("compiled"), server.url).config
    return submission.compiled_for(config, "prod")


@pytest.fixture
def server(monkeypatch) -> Iterator[KfpServer]:
    """The API of the target; requests are tried for less long than elsewhere."""
    monkeypatch.setattr(transport, "PATIENCE", QUICK)
    with serving() as running:
        yield running


@pytest.fixture
def impatient(monkeypatch) -> None:
    """For tests of time-outs alone: on a busy machine an answer may take as long."""
    monkeypatch.setattr(transport, "PATIENCE", QUICK._replace(answer_s=0.3, retries=2))


@pytest.fixture
def world(tmp_path, server, pipeline, monkeypatch) -> World:
    """A configuration with that target. What is compiled for it differs by its image alone, as in `compile`."""
    def compiled(config: Config, name: str) -> bytes:
        return pipeline.replace(b"registry.example/pinrec:7", config.target(name).image.encode())

    monkeypatch.setattr(submission, "compiled_for", compiled)
    return World(tmp_path, server.url)


@pytest.fixture
def pinrec(world, capsys, monkeypatch) -> Callable[..., Outcome]:
    """Run a command with the configuration."""
    def run(*arguments: str) -> Outcome:
        assert world.config
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main([*arguments, "--config", str(world.file)])
        return Outcome(end.value.code, *capsys.readouterr())

    monkeypatch.setenv("COLUMNS", "250")
    return run
