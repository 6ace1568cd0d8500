"""KFP component: the base model, fitted to the feed views of one surface."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finetune(
    dataset: dsl.Input[dsl.Dataset], base: dsl.Input[dsl.Model], surface: str, finetune: str, launch: str,
    model: dsl.Output[dsl.Model], metrics: dsl.Output[dsl.Metrics], store: str = "", registry: str = "",
):
    """Fit the base model to the feed views of one surface.

    Args:
        dataset: What aggregate_logs wrote.
        base: What pretrain wrote.
        surface: Name of the surface.
        finetune: Section [finetune] as JSON.
        launch: Section [launch] as JSON: where the training processes run.
        store: Folder or URI for the model, of which the artifact then says only where it is; "" = it holds it.
        registry: Folder or URI of the release registry, to tell there why it fails; "" = nowhere.

    Returns:
        model: The surface's candidate model.
        metrics: Facts and counts of the training run.
    """
    from pathlib import Path

    from components.artifacts import describe, log_metrics, recorded, train
    from pinrec_core.config import FinetuneConfig
    from pinrec_core.store import kept
    from pinrec_core.training.job import FinetuneJob

    with recorded(registry, "", f"finetune {surface}") as took, kept(Path(model.path), store) as output:
        manifest = train(FinetuneJob(dataset=Path(dataset.path), base=Path(base.path), output=output, surface=surface,
                                     finetune=FinetuneConfig.parse(finetune)), launch, took)
    describe(model, manifest, surface=surface)
    log_metrics(metrics, manifest.counts | manifest.facts)
