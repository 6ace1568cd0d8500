"""KFP component: refuse aloud."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def reject(verdict: dsl.Input[dsl.Artifact], gate: str, registry: str, run_id: str):
    """Record why nothing is promoted, and fail, so that a rejected run is visible as such, unless told not to.

    Args:
        verdict: What gate wrote.
        gate: Section [gate] as JSON.
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry.
    """
    from pathlib import Path

    from components.artifacts import folder_of
    from pinrec_core.config import GateConfig, OnReject
    from pinrec_core.release.promote import reject as run
    from pinrec_core.report.run_folder import record_rejection
    from pinrec_core.report.step_marks import step_taken

    folder = folder_of(registry, run_id)
    with step_taken(folder, "reject"):
        record_rejection(folder, run(Path(verdict.path), False, run_id))
        run(Path(verdict.path), GateConfig.parse(gate).on_reject is OnReject.FAIL, run_id)
