"""The training pipeline: event log in, gated and verified releases out, reported whatever happens.

Composition only. Every config section is a parameter of its own (JSON), so that a changed gate threshold leaves the
cached training tasks valid. Tasks that depend on what is live, or that leave their result in the run's folder, are
never cached.

    pinrec run --config FILE                      on this machine
    pinrec compile --config FILE --target NAME    for a cluster; what a target gives the pods: pipelines/pods.py
"""

from kfp import dsl

from components.aggregate_logs import aggregate_logs
from components.build_index import build_index
from components.evaluate import evaluate
from components.finetune import finetune as finetune_surface
from components.gate import gate as judge
from components.notify import notify as tell
from components.pretrain import pretrain as pretrain_base
from components.promote import promote
from components.reject import reject
from components.resolve_live import resolve_live
from components.validate_data import validate_data
from components.verify_release import verify_release

NAME, TITLE = "pinrec-training", "PinRec training"
RUN_ID = dsl.PIPELINE_JOB_NAME_PLACEHOLDER  # only for tasks that are never cached: it is new in every run


def fresh(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """A task that runs every time: it depends on what is live, or leaves its result in the run's folder."""
    return task.set_caching_options(False)


@dsl.pipeline(name=NAME, display_name=TITLE)
def pinrec_training(
    events: str, catalog: str, registry: str, date: str, surfaces: list,
    log: str, aggregate: str, validate: str, model: str, pretrain: str, finetune: str,
    generation: str, evaluation: str, gate: str, index: str, previous: str = "",
    launch: str = "{}", notify: str = "{}", go_live: bool = True, store: str = "",
):
    """Event logs to gated, verified, reversible retrieval releases."""
    # Whatever happens below: people are told, and outcome and report are in the run's folder.
    notice = fresh(tell(registry=registry, run_id=RUN_ID, notify=notify)).set_display_name("Notify")

    with dsl.ExitHandler(notice, name="run"):
        # Events and catalog become one training dataset; rows in = rows kept + quarantined + duplicates.
        logs = aggregate_logs(
            events=events, catalog=catalog, date=date, log=log, aggregate=aggregate, previous=previous, store=store,
            registry=registry).set_display_name("Aggregate logs")
        dataset = logs.outputs["dataset"]

        # Bad data stops here, before anything is trained on it.
        checked = fresh(validate_data(
            dataset=dataset, validate=validate, registry=registry, run_id=RUN_ID)).set_display_name("Validate data")

        # One base model learns from all surfaces.
        base = pretrain_base(
            dataset=dataset, model=model, pretrain=pretrain, launch=launch, store=store,
            registry=registry).after(checked).set_display_name("Pretrain")

        with dsl.ParallelFor(surfaces, name="candidates") as surface:
            # Each surface gets a candidate of its own ...
            candidate = finetune_surface(
                dataset=dataset, base=base.outputs["base"], surface=surface, finetune=finetune, launch=launch,
                store=store, registry=registry).set_display_name("Finetune")

            # ... that would take the place of a release ...
            current = fresh(resolve_live(
                model=candidate.outputs["model"], surface=surface, registry=registry, run_id=RUN_ID,
                generation=generation, index=index)).set_display_name("Resolve live")

            # ... and is measured by the code that serves, beside that release and baselines.
            measured = evaluate(
                dataset=dataset, model=candidate.outputs["model"], surface=surface, registry=registry,
                live=current.outputs["live"], allow=current.outputs["allow"], generation=generation,
                evaluation_config=evaluation, index=index).set_display_name("Evaluate")

        # All evaluations, and what the data warned of, decide whether anything may be promoted.
        judged = fresh(judge(
            evaluations=dsl.Collected(measured.outputs["evaluation"]), validation=checked.outputs["validation"],
            curve=base.outputs["curve"], gate=gate, registry=registry, run_id=RUN_ID)).set_display_name("Gate")
        verdict = judged.outputs["verdict"]

        with dsl.If(judged.outputs["decision"] == "promote", name="promoted"):
            with dsl.ParallelFor(judged.outputs["promoted"], name="releases") as passed:
                # Model, index and evidence of each surface become one immutable release ...
                release = fresh(build_index(
                    dataset=dataset, verdict=verdict, surface=passed, registry=registry, run_id=RUN_ID,
                    generation=generation, index=index)).set_display_name("Build index")

                # ... which must answer as its evaluation says.
                verified = fresh(verify_release(
                    dataset=dataset, release_id=release.outputs["Output"], surface=passed, registry=registry,
                    run_id=RUN_ID, index=index)).set_display_name("Verify release")

            # Only verified releases go live, all of them in one move, and only if the run is to promote.
            fresh(promote(
                verdict=verdict, release_ids=dsl.Collected(verified.outputs["Output"]), registry=registry,
                run_id=RUN_ID, go_live=go_live)).set_display_name("Promote")

        with dsl.Else(name="rejected"):
            # Nothing changes, and the run says why.
            fresh(reject(verdict=verdict, gate=gate, registry=registry, run_id=RUN_ID)).set_display_name("Reject")
