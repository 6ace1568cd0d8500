"""KFP component: what an evaluation depends on that no step has made: the live release, the allow list."""

from typing import NamedTuple  # KFP's executor imports the name

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def resolve_live(
    model: dsl.Input[dsl.Model], surface: str, registry: str, run_id: str, generation: str, index: str,
) -> NamedTuple("Resolved", [("live", str), ("allow", str)]):
    """Find the release that a candidate is to be compared with, and the state of the surface's allow list.

    Args:
        model: What finetune wrote.
        surface: Name of the surface.
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry, where the candidate's training metrics are kept.
        generation: Section [generation] as JSON.
        index: Section [index] as JSON.

    Returns:
        live: The id of the release; "" if none is live.
        allow: The sha256 of the allow list; "" if there is none.
    """
    from pathlib import Path

    from components.artifacts import folder_of, recorded
    from pinrec_core.config import GenerationConfig, IndexConfig
    from pinrec_core.release.compared import release_to_compare_with
    from pinrec_core.report.run_folder import record_training
    from pinrec_core.retrieval.allow import allow_sha256

    with recorded(registry, run_id, f"resolve-live {surface}"):
        record_training(folder_of(registry, run_id), f"finetune {surface}", Path(model.path))
        settings = IndexConfig.parse(index)
        live = release_to_compare_with(registry, surface, Path(model.path), index=settings,
                                       generation=GenerationConfig.parse(generation))
        return live, allow_sha256(surface, settings)
