"""KFP component: one base model from the engagements of all surfaces."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def pretrain(
    dataset: dsl.Input[dsl.Dataset], model: str, pretrain: str, launch: str,
    base: dsl.Output[dsl.Model], curve: dsl.Output[dsl.Artifact], metrics: dsl.Output[dsl.Metrics], store: str = "",
    registry: str = "",
):
    """Train one base model on the engagements of all surfaces.

    Args:
        dataset: What aggregate_logs wrote.
        model: Section [model] as JSON.
        pretrain: Section [pretrain] as JSON.
        launch: Section [launch] as JSON: where the training processes run.
        store: Folder or URI for the model, of which the artifact then says only where it is; "" = it holds it.
        registry: Folder or URI of the release registry, to tell there why it fails; "" = nowhere.

    Returns:
        base: The base model.
        curve: Its training metrics alone, for the report.
        metrics: Facts and counts of the training run.
    """
    import shutil
    from pathlib import Path

    from components.artifacts import describe, log_metrics, recorded, train
    from pinrec_core.config import ModelConfig, PretrainConfig
    from pinrec_core.store import kept
    from pinrec_core.training.job import PretrainJob

    with recorded(registry, "", "pretrain") as took, kept(Path(base.path), store) as output:
        manifest = train(PretrainJob(dataset=Path(dataset.path), output=output, model=ModelConfig.parse(model),
                                     pretrain=PretrainConfig.parse(pretrain)), launch, took)
        Path(curve.path).mkdir()
        shutil.copy(output / "metrics.jsonl", curve.path)
    describe(base, manifest)
    curve.metadata.update(kind="training_curve", model=manifest.fingerprint)
    log_metrics(metrics, manifest.counts | manifest.facts)
