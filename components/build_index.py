"""KFP component: one immutable release of one surface."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def build_index(
    dataset: dsl.Input[dsl.Dataset], verdict: dsl.Input[dsl.Artifact], surface: str, registry: str,
    run_id: str, generation: str, index: str, release: dsl.Output[dsl.Artifact],
) -> str:
    """Put model, item index, histories, evaluation and verdict into one release, unless it is there already.

    Args:
        dataset: What aggregate_logs wrote.
        verdict: What gate wrote.
        surface: Name of the surface.
        registry: Folder or URI of the release registry.
        run_id: Names the run's folder in the registry.
        generation: Section [generation] as JSON.
        index: Section [index] as JSON.

    Returns:
        release: Where the release is in the registry, and what is in it.
        Output: The id of the release, which is its fingerprint.
    """
    from pathlib import Path

    from components.artifacts import describe, recorded
    from pinrec_core.config import GenerationConfig, IndexConfig
    from pinrec_core.registry import release_path
    from pinrec_core.release.reuse import build_once as run
    from pinrec_core.store import refer

    with recorded(registry, run_id, f"build-index {surface}"):
        release_id = run(Path(dataset.path), Path(verdict.path), registry, surface=surface,
                         generation=GenerationConfig.parse(generation), index=IndexConfig.parse(index))
        manifest = refer(Path(release.path), release_path(registry, release_id), "release")
    describe(release, manifest, surface=surface, release_id=release_id)
    return release_id
