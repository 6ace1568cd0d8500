"""KFP component: all evaluations in, one decision out."""

from typing import List, NamedTuple  # noqa: UP035  (KFP reads typing.List, and its executor imports these names)

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate(
    evaluations: dsl.Input[List[dsl.Artifact]],  # noqa: UP006
    validation: dsl.Input[dsl.Artifact], curve: dsl.Input[dsl.Artifact], gate: str, registry: str, run_id: str,
    verdict: dsl.Output[dsl.Artifact], summary: dsl.Output[dsl.Markdown],
) -> NamedTuple("Decision", [("decision", str), ("promoted", list)]):
    """Judge every surface by its rules: floors, the live release, baselines, slices, and what else is configured.

    Args:
        evaluations: What evaluate wrote, one per surface.
        validation: What validate_data wrote of the dataset.
        curve: Training metrics of the base model, kept in the run's folder.
        gate: Section [gate] as JSON.
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry.

    Returns:
        verdict: Every rule with observed value, limit and sentence.
        summary: The same, to read.
        decision: "promote" or "reject".
        promoted: The surfaces to build a release for.
    """
    from pathlib import Path

    from components.artifacts import describe, folder_of, recorded, write_summary
    from pinrec_core.config import GateConfig
    from pinrec_core.manifest import read_manifest
    from pinrec_core.release.gate import gate as run
    from pinrec_core.release.outcome import told
    from pinrec_core.report.run_folder import record_gate, record_training

    with recorded(registry, run_id, "gate"):
        judged = run([Path(item.path) for item in evaluations], Path(verdict.path), gate=GateConfig.parse(gate),
                     validation=Path(validation.path))
        record_training(folder_of(registry, run_id), "pretrain", Path(curve.path))
        record_gate(folder_of(registry, run_id), Path(verdict.path))
    describe(verdict, read_manifest(verdict.path, "verdict", verify=False), decision=judged.decision.value)
    write_summary(summary, judged.decision.value, (
        f"{rule.word}: {rule.sentence}" for name, surface in judged.surfaces.items()
        for rule in told(name, surface.rules)))
    return judged.decision.value, judged.passed
