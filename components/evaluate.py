"""KFP component: the candidate of one surface against baselines and the live release."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    dataset: dsl.Input[dsl.Dataset], model: dsl.Input[dsl.Model], surface: str, registry: str,
    run_id: str, generation: str, evaluation_config: str, index: str,
    evaluation: dsl.Output[dsl.Artifact], metrics: dsl.Output[dsl.Metrics],
):
    """Measure a candidate on the evaluation days, beside baselines and the live release.

    Args:
        dataset: What aggregate_logs wrote.
        model: What finetune wrote.
        surface: Name of the surface.
        registry: Folder or URI of the release registry, to find the live release.
        run_id: Names the run's folder in the registry, where the candidate's training metrics are kept.
        generation: Section [generation] as JSON.
        evaluation_config: Section [evaluation] as JSON.
        index: Section [index] as JSON; of it only the surface's allow list counts.
        evaluation: Metrics with intervals, per-user values, baselines.
        metrics: The candidate's metrics.
    """
    import json
    from pathlib import Path

    from components.artifacts import describe, folder_of, log_metrics
    from pinrec_core.config import EvaluationConfig, GenerationConfig, IndexConfig
    from pinrec_core.evaluation.evaluate import evaluate as run
    from pinrec_core.report.run_folder import record_training

    record_training(folder_of(registry, run_id), f"finetune {surface}", Path(model.path))
    manifest = run(Path(dataset.path), Path(model.path), Path(evaluation.path), surface=surface, registry=registry,
                   generation=GenerationConfig.parse(generation), evaluation=EvaluationConfig.parse(evaluation_config),
                   index=IndexConfig.parse(index), model_uri=model.uri)
    describe(evaluation, manifest)
    measured = json.loads(Path(evaluation.path, "evaluation.json").read_bytes())["metrics"]
    log_metrics(metrics, {name: statistic["value"] for name, statistic in measured.items()})
