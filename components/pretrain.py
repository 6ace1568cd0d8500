"""KFP component: one base model from the engagements of all surfaces."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def pretrain(
    dataset: dsl.Input[dsl.Dataset], model: str, pretrain: str, launch: str,
    base: dsl.Output[dsl.Model], curve: dsl.Output[dsl.Artifact], metrics: dsl.Output[dsl.Metrics],
    registry: str = "",
):
    """Train one base model on the engagements of all surfaces.

    Args:
        dataset: What aggregate_logs wrote.
        model: Section [model] as JSON.
        pretrain: Section [pretrain] as JSON.
        launch: Section [launch] as JSON: where the training processes run.
        base: The base model.
        curve: Its training metrics alone, for the report.
        metrics: Facts and counts of the training run.
        registry: Folder or URI of the release registry, to tell there why it fails; "" = nowhere.
    """
    import shutil
    from pathlib import Path

    from components.artifacts import describe, failure_kept, log_metrics, train
    from pinrec_core.config import ModelConfig, PretrainConfig
    from pinrec_core.training.job import PretrainJob

    with failure_kept(registry, "", "pretrain"):
        manifest = train(PretrainJob(dataset=Path(dataset.path), output=Path(base.path), model=ModelConfig.parse(model),
                                     pretrain=PretrainConfig.parse(pretrain)), launch)
    describe(base, manifest)
    Path(curve.path).mkdir()
    shutil.copy(Path(base.path, "metrics.jsonl"), curve.path)
    log_metrics(metrics, manifest.counts | manifest.facts)
