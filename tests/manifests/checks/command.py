"""The command lines of our containers, read by pinrec's own parser, and the settings that they come to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from unittest import mock

import typer

from checks.built import Built, Finding, Object, Pod
from pinrec_core.cli.entry import Settings, build_app
from pinrec_core.config import Config, ServeConfig
from pinrec_core.errors import ConfigError

# typer brings a click of its own, or uses the installed one, by version.
Unparsable = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def check(built: Built) -> Iterator[Finding]:
    """Rules config and command."""
    yield from _configs(built)
    for pod in built.pods():
        for container in pod.containers():
            if container.get("command", [""])[0] == "pinrec":
                yield from (Finding("command", pod.name, problem) for problem in _of_container(built, pod, container))


def serve_config(built: Built, pod: Pod, container: Object) -> ServeConfig | None:
    """What `pinrec serve` in a container comes to, None if it runs something else or its configuration is not mounted.

    Raises Unparsable, and ConfigError if the configuration is wrong.
    """
    words = [*container.get("command", []), *container.get("args", [])]
    if words[:1] != ["pinrec"]:
        return None
    told = _parsed(words[1:], container)
    whole = _mounted_config(built, pod, container, told["config"]) if words[1] == "serve" else None
    if whole is None:
        return None
    return whole.serve.model_copy(update={key: value for key, value in told.items()
                                          if key != "config" and value not in ("", None)})


def replicas(built: Built, pod: Pod) -> int:
    """How many pods there may be at once, a surge aside."""
    if "maxReplicas" in pod.spec:  # of an InferenceService
        return pod.spec["maxReplicas"]
    scaled = [scaler["spec"]["maxReplicas"] for scaler in built.of("HorizontalPodAutoscaler")
              if f"{scaler['spec']['scaleTargetRef']['kind']}/{scaler['spec']['scaleTargetRef']['name']}" == pod.name]
    return max([*scaled, pod.owner["spec"].get("replicas", 1)])


def _configs(built: Built) -> Iterator[Finding]:
    for found in built.of("ConfigMap"):
        for key, text in found.get("data", {}).items():
            try:
                if key.endswith(".toml"):
                    _load(text, key)
            except ConfigError as error:
                yield Finding("config", f"ConfigMap/{found['metadata']['name']}", str(error))


def _load(text: str, key: str) -> Config:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, key)
        path.write_text(text, "utf-8")
        return Config.load(path)


def _of_container(built: Built, pod: Pod, container: Object) -> Iterator[str]:
    try:
        config = serve_config(built, pod, container)
    except (Unparsable, ConfigError) as error:
        yield f"{container['name']}: {getattr(error, 'message', error)}"
        return
    if config is not None:
        yield from _settings(built, pod, container, config)
    elif "serve" in container["command"]:
        yield f"{container['name']}: its configuration is not in a ConfigMap that is mounted"


def _settings(built: Built, pod: Pod, container: Object, config: ServeConfig) -> Iterator[str]:
    """Whether port, registry and store fit the pod."""
    ports = [port["containerPort"] for port in container.get("ports", [])]
    if config.port not in ports or config.host != "0.0.0.0":
        yield f"{container['name']}: listens on {config.host}:{config.port}, containerPort is {ports}"
    folders = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    registry = config.registry
    if not registry.startswith("gs://") and not any(PurePosixPath(registry).is_relative_to(at) for at in folders):
        yield f"{container['name']}: registry {registry!r} is neither gs:// nor on a volume; set PINREC_REGISTRY"
    if not any(PurePosixPath("/tmp").is_relative_to(folder) for folder in folders):
        yield f"{container['name']}: nothing is mounted on /tmp, where the server writes"
    if not config.store and (config.workers > 1 or replicas(built, pod) > 1):
        yield (f"{container['name']}: {replicas(built, pod)} pods of {config.workers} workers share no store of "
               "events; set PINREC_STORE")


def _parsed(words: list[str], container: Object) -> dict:
    """What the command is told by its line and the container's environment; Unparsable if it cannot be."""
    commands = typer.main.get_command(build_app(Settings())).commands
    if words[0] not in commands:
        raise Unparsable(f"pinrec has no command {words[0]!r}")
    # A secret's value is not known; that it is given counts.
    given = {entry["name"]: entry.get("value", "redis://of-a-secret/0") for entry in container.get("env", [])}
    with mock.patch.dict(os.environ, given, clear=True):
        return commands[words[0]].make_context(words[0], words[1:]).params


def _mounted_config(built: Built, pod: Pod, container: Object, path: Path | None) -> Config | None:
    """The configuration that a container finds at a path, from the ConfigMap mounted there."""
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        if path is not None and Path(mount["mountPath"]) == path.parent:
            name = volumes.get(mount["name"], {}).get("configMap", {}).get("name")
            for found in built.of("ConfigMap"):
                if found["metadata"]["name"] == name and path.name in found["data"]:
                    return _load(found["data"][path.name], path.name)
    return None
