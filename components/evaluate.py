"""KFP component: the candidate of one surface against baselines and the live release."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    dataset: dsl.Input[dsl.Dataset], model: dsl.Input[dsl.Model], surface: str, registry: str,
    live: str, allow: str, generation: str, evaluation_config: str, index: str,
    evaluation: dsl.Output[dsl.Artifact], metrics: dsl.Output[dsl.Metrics],
):
    """Measure a candidate on the evaluation days, beside baselines and the live release.

    All that it depends on is an input, so that it is cached.

    Args:
        dataset: What aggregate_logs wrote.
        model: What finetune wrote.
        surface: Name of the surface.
        registry: Folder or URI of the release registry.
        live: The release to compare with, as resolve_live found it; "" = none.
        allow: sha256 of the surface's allow list, as resolve_live found it; "" = there is none.
        generation: Section [generation] as JSON.
        evaluation_config: Section [evaluation] as JSON.
        index: Section [index] as JSON; of it only the surface's allow list counts.

    Returns:
        evaluation: Metrics with intervals, per-user values, baselines.
        metrics: The candidate's metrics.
    """
    import json
    from pathlib import Path

    from components.artifacts import describe, log_metrics, recorded, uri_of
    from pinrec_core.config import EvaluationConfig, GenerationConfig, IndexConfig
    from pinrec_core.errors import IntegrityError
    from pinrec_core.evaluation.evaluate import evaluate as run
    from pinrec_core.store import opened

    with recorded(registry, "", f"evaluate {surface}"):
        with opened(dataset.path, "dataset") as data, opened(model.path, "model") as candidate:
            manifest = run(data, candidate, Path(evaluation.path), surface=surface, registry=registry, live_id=live,
                           generation=GenerationConfig.parse(generation), index=IndexConfig.parse(index),
                           evaluation=EvaluationConfig.parse(evaluation_config), model_uri=uri_of(model))
        found = json.loads(Path(evaluation.path, "evaluation.json").read_bytes())
        if found["allow_sha256"] != allow:
            raise IntegrityError(f"the allow list of surface {surface!r} changed while the run went; run it again")
    describe(evaluation, manifest, surface=surface, live_release=live)
    log_metrics(metrics, {name: statistic["value"] for name, statistic in found["metrics"].items()})
