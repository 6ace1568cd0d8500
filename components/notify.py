"""KFP component: whatever happened, tell it and report it (the exit task)."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def notify(registry: str, run_id: str, notify: str, page: dsl.Output[dsl.HTML]):
    """Tell how the run ended, then write its outcome and report, from what its folder holds.

    It takes no final status: KFP's is that of the whole exit handler, without a step or a reason, and where it is
    broken it would end the exit task. The steps leave their failures and the marks of their begin themselves.

    Args:
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry.
        notify: Section [notify] as JSON.

    Returns:
        page: The report of the run, on one page.
    """
    from pathlib import Path

    from components.artifacts import folder_of, pod_folder
    from pinrec_core.report.notify import notify as tell
    from pinrec_core.report.run_report import write_run_report
    from pinrec_core.report.step_marks import Took, mark_ended, tell_unfinished
    from pinrec_core.storage import read_bytes

    folder, took = folder_of(registry, run_id), Took()
    tell_unfinished(folder, pod_folder(registry))
    tell(folder, notify)  # first: nothing that goes wrong with the page may silence it
    page.metadata.update(kind="report", run=run_id)
    Path(page.path).write_bytes(read_bytes(write_run_report(folder)))
    mark_ended(folder, "notify", took.seconds, took.peak_kib)  # the page cannot know it
