"""KFP component: the only step that moves the live aliases."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def promote(verdict: dsl.Input[dsl.Artifact], release_ids: list, registry: str, run_id: str):
    """Make the verified releases live, all in one move, after reading verdict and verifications again.

    Args:
        verdict: What gate wrote.
        release_ids: What verify_release returned, one per surface.
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry.
    """
    from pathlib import Path

    from components.artifacts import folder_of
    from pinrec_core.release.promote import promote as run
    from pinrec_core.report.run_folder import record_promotion

    record_promotion(folder_of(registry, run_id), run(registry, Path(verdict.path), release_ids, run_id))
