"""KFP component: the only step that moves the live aliases."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def promote(
    verdict: dsl.Input[dsl.Artifact], release_ids: list, registry: str, run_id: str, go_live: bool,
    summary: dsl.Output[dsl.Markdown],
):
    """Make the verified releases live, all in one move, after reading verdict and verifications again.

    A run that is not to promote ends here too: what could go live is recorded, and no alias moves.

    Args:
        verdict: What gate wrote.
        release_ids: What verify_release returned, one per surface.
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry.
        go_live: Whether the run is to promote.

    Returns:
        summary: What is live now, or could go live.
    """
    from pathlib import Path

    from components.artifacts import folder_of, recorded, write_summary
    from pinrec_core.release.promote import promote as run
    from pinrec_core.release.ready import ready
    from pinrec_core.report.run_folder import record_promotion, record_ready

    folder, judged = folder_of(registry, run_id), Path(verdict.path)
    with recorded(registry, run_id, "promote"):
        if go_live:
            promoted = run(registry, judged, release_ids, run_id)
            record_promotion(folder, promoted)
            write_summary(summary, "promoted" if promoted.moved else "nothing to do", [promoted.told])
        else:
            waiting = ready(registry, judged, release_ids, run_id)
            record_ready(folder, waiting)
            write_summary(summary, "ready", [waiting.sentence])
