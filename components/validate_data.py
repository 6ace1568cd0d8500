"""KFP component: stop the run before training if the dataset is not fit for it."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def validate_data(
    dataset: dsl.Input[dsl.Dataset], validate: str, registry: str, run_id: str,
    validation: dsl.Output[dsl.Artifact],
):
    """Check the dataset against its limits; any error stops the run before training.

    Args:
        dataset: What aggregate_logs wrote.
        validate: Section [validate] as JSON.
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry, where the data's counts and statistics are kept.
        validation: Every rule with its observed value and limit.
    """
    from pathlib import Path

    from components.artifacts import describe, failure_kept, folder_of
    from pinrec_core.config import ValidateConfig
    from pinrec_core.logs.validate import validate_data as run
    from pinrec_core.report.run_folder import record_data

    with failure_kept(registry, run_id, "validate-data"):
        record_data(folder_of(registry, run_id), Path(dataset.path), dataset.uri)  # first: a refused one is told too
        describe(validation, run(Path(dataset.path), Path(validation.path), validate=ValidateConfig.parse(validate)))
