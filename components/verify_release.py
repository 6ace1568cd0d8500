"""KFP component: a release must answer like its evaluation says before it may be promoted."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def verify_release(
    dataset: dsl.Input[dsl.Dataset], release_id: str, surface: str, registry: str, run_id: str, index: str,
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Load a release in a clean process, replay it and record what was found; fails if it does not hold.

    One that passed already under the same settings is not verified again.

    Args:
        dataset: What aggregate_logs wrote.
        release_id: What build_index returned.
        surface: Name of the release's surface.
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry.
        index: Section [index] as JSON.

    Returns:
        metrics: What each check observed, and the latencies.
        Output: The id of the verified release.
    """
    from pathlib import Path

    from components.artifacts import folder_of, log_metrics, recorded
    from pinrec_core.config import IndexConfig
    from pinrec_core.release.reuse import verify_once as run
    from pinrec_core.report.run_folder import record_verification

    with recorded(registry, run_id, f"verify-release {surface}"):
        found = run(registry, release_id, dataset=Path(dataset.path), index=IndexConfig.parse(index))
        record_verification(folder_of(registry, run_id), found)
    log_metrics(metrics, {check["name"]: check["observed"] for check in found["checks"]} | found["measured"])
    return release_id
