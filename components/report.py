"""KFP component: whatever happened, say it (the exit task)."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def report(registry: str, run_id: str, status: dsl.PipelineTaskFinalStatus, page: dsl.Output[dsl.HTML]):
    """Write the run's outcome and report into its folder, whether it was promoted, rejected or failed.

    Args:
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry.
        status: How the rest of the run ended.
        page: The report.
    """
    import logging
    from pathlib import Path

    from components.artifacts import folder_of
    from pinrec_core.report.run_report import write_run_report
    from pinrec_core.storage import read_bytes

    logging.getLogger("pinrec").info("the tasks ended as %s; the run folder says what was done", status.state)
    Path(page.path).write_bytes(read_bytes(write_run_report(folder_of(registry, run_id))))
