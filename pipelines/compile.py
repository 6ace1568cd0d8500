"""Compile the training pipeline for a target: `pinrec compile --config FILE --target NAME [--format resources]`.

    yaml        KFP's intermediate representation: uploaded, submitted, or run by KFP's local runners
    resources   the same as a Pipeline and a PipelineVersion for `kubectl apply`, where KFP keeps its pipelines in
                Kubernetes; the version's name carries a hash of what it holds, so that the same content is the same
                version and other content never changes one

The same sources, configuration and kfp version give the same bytes. The files under manifests/compiled are goldens: a
test compiles again and compares.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Any

from pinrec_core.config import Config
from pinrec_core.config.target import LOCAL
from pinrec_core.errors import ConfigError
from pinrec_core.storage import write_bytes

FOLDER = Path("manifests/compiled")


class Form(StrEnum):
    """How a compiled pipeline is written."""

    YAML = "yaml"
    RESOURCES = "resources"


def default_output(target: str, form: Form) -> Path:
    """Where a compiled pipeline goes if nothing is said."""
    return FOLDER / (f"{target}.yaml" if form is Form.YAML else f"{target}_resources.yaml")


def compile_training(output: Path, config: Config | None = None, target: str = LOCAL, form: Form = Form.YAML) -> Path:
    """Write the pipeline as a target of the configuration runs it, whole or not at all, and return where it is.

    Raises ConfigError if there is no such target, or if resources are asked for where there is no cluster.
    """
    if target == LOCAL and form is Form.RESOURCES:
        raise ConfigError(f"target {LOCAL!r} is this machine and has no custom resources; name a target of the "
                          "configuration, or leave --format at yaml")
    write_bytes(str(output), compiled(config, target, form))
    return output


def compiled(config: Config | None = None, target: str = LOCAL, form: Form = Form.YAML) -> bytes:
    """What compile_training writes."""
    pipeline = _pipeline(config, target)
    ir = _compiled(pipeline)
    if form is Form.YAML:
        return ir
    return _compiled(pipeline, kubernetes_manifest_format=True,
                     kubernetes_manifest_options=_resource_names(ir, config.target(target).namespace))


def version_name(ir: bytes) -> str:
    """The name of the version that holds this YAML: the pipeline's name and a hash of all of it."""
    from pipelines.training import NAME

    return f"{NAME}-{hashlib.sha256(ir).hexdigest()[:12]}"


def _pipeline(config: Config | None, target: str) -> Any:
    """The pipeline that the compiler takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=FutureWarning)  # kfp's own, at import
        from pipelines.training import pinrec_training
    if target == LOCAL:
        return pinrec_training
    if config is None:
        raise ConfigError(f"target {target!r} is described in a configuration; pass --config FILE with "
                          f"[targets.{target}]")
    settings = config.target(target)
    from pipelines.pods import pipeline_on

    return pipeline_on(settings, config.notify)


def _resource_names(ir: bytes, namespace: str) -> Any:
    """All names follow from the content: a version is immutable in the cluster, its display name too."""
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    from pipelines.training import NAME, TITLE

    version = version_name(ir)
    return KubernetesManifestOptions(
        pipeline_name=NAME, pipeline_display_name=TITLE, pipeline_version_name=version,
        pipeline_version_display_name=version, namespace=namespace, include_pipeline_manifest=True)


def _compiled(pipeline: Any, **options: Any) -> bytes:
    from kfp.compiler import Compiler

    with tempfile.TemporaryDirectory(prefix="pinrec-compile-") as folder:
        file = Path(folder, "pipeline.yaml")
        Compiler().compile(pipeline, str(file), **options)
        return file.read_bytes()
