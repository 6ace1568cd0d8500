"""KFP component: stop the run before training if the dataset is not fit for it."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def validate_data(
    dataset: dsl.Input[dsl.Dataset], validate: str, registry: str, run_id: str,
    validation: dsl.Output[dsl.Artifact], summary: dsl.Output[dsl.Markdown],
):
    """Check the dataset against its limits; any error stops the run before training.

    Args:
        dataset: What aggregate_logs wrote.
        validate: Section [validate] as JSON.
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry, where the data's counts and statistics are kept.

    Returns:
        validation: Every rule with its observed value and limit.
        summary: How many rules there are, and what they warn of.
    """
    import json
    from pathlib import Path

    from components.artifacts import describe, folder_of, recorded, uri_of, write_summary
    from pinrec_core.config import ValidateConfig
    from pinrec_core.logs.validate import validate_data as run
    from pinrec_core.report.run_folder import record_data, record_validation
    from pinrec_core.store import opened

    with recorded(registry, run_id, "validate-data"), opened(dataset.path, "dataset") as data:
        record_data(folder_of(registry, run_id), data, uri_of(dataset))  # first: a refused one is told too
        manifest = run(data, Path(validation.path), validate=ValidateConfig.parse(validate))
        record_validation(folder_of(registry, run_id), Path(validation.path))
    describe(validation, manifest, dataset=manifest.parents["dataset"])
    found = json.loads(Path(validation.path, "validation.json").read_bytes())
    warnings = [rule["sentence"] for rule in found["rules"] if rule["rule"] in found["warnings"]]
    write_summary(summary, f"{manifest.counts['rules']} checks, {len(warnings)} warned", [*warnings, *found["notes"]])
