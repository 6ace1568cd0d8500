"""What a release must prove before it may go live: that it is whole, verified, and the very thing its verdict judged.

Nothing is taken from whoever asks: verdict, release and verification are read here.
"""

from __future__ import annotations

from pydantic import ValidationError

from pinrec_core import registry as registry_
from pinrec_core import storage
from pinrec_core.config import Policy
from pinrec_core.errors import IntegrityError, PinrecError
from pinrec_core.manifest import Manifest
from pinrec_core.registry import Aliases
from pinrec_core.release import bundle, stored
from pinrec_core.release.verdict import EVALUATIONS_FOLDER, VERDICT_NAME, Verdict
from pinrec_core.release.verification import require_verification
from pinrec_core.release.waiver import passing, reasons, surface_reasons


def carried_verdict(registry: str, release_ids: list[str]) -> tuple[Verdict, Manifest]:
    """The verdict that releases carry, with its manifest, for a promotion without the verdict's directory.

    Raises PinrecError if they come of several verdicts, IntegrityError if something was altered.
    """
    manifests = [stored.release_manifest(registry, release_id) for release_id in release_ids]
    verdicts = sorted({str(manifest.facts["verdict_fingerprint"]) for manifest in manifests})
    if len(verdicts) != 1:
        raise PinrecError(f"the releases come of {len(verdicts)} verdicts ({', '.join(verdicts) or 'none was named'}); "
                          "promote those of one verdict at a time")
    known = stored.stored_lineage(registry, manifests[0]).manifests
    if verdicts[0] not in known:
        raise IntegrityError(f"release {release_ids[0]}: its lineage does not have the manifest of its verdict "
                             f"{verdicts[0]}; build the release again")
    try:
        return (Verdict.model_validate_json(stored.stored_part(registry, manifests[0], bundle.VERDICT)),
                known[verdicts[0]])
    except ValidationError as error:
        raise IntegrityError(f"release {release_ids[0]}: its verdict is not usable: "
                             f"{error.errors(include_url=False)[0]['msg']}; run the gate again") from error


def check_decision(judged: Verdict, release_ids: list[str], forced: bool) -> None:
    """Raises PinrecError if the verdict lets nothing through, or nothing was named."""
    if not passing(judged, forced):
        raise PinrecError(f"the verdict is to reject, nothing may be promoted: {'; '.join(reasons(judged, forced))}")
    if not release_ids:
        raise PinrecError("no release was named; pass the ids that build_index returned")


def proven_releases(registry: str, judged: Verdict, verdict_manifest: Manifest, release_ids: list[str],
                    forced: bool) -> dict[str, Manifest]:
    """The manifests by surface, once everything about each holds. Raises PinrecError, IntegrityError."""
    chosen: dict[str, Manifest] = {}
    for release_id in dict.fromkeys(release_ids):
        manifest = _proven(registry, judged, verdict_manifest, release_id, forced)
        surface = manifest.facts["surface"]
        if surface in chosen:
            raise PinrecError(f"releases {chosen[surface].fingerprint} and {release_id} are both of surface "
                              f"{surface!r}; name one")
        chosen[surface] = manifest
    return chosen


def check_complete(registry: str, aliases: Aliases, judged: Verdict, verdict_manifest: Manifest,
                   chosen: dict[str, Manifest]) -> None:
    """Under policy all every judged surface needs a release of this verdict, named or live. Raises PinrecError."""
    if judged.policy is not Policy.ALL:
        return
    others = {s: stored.live_manifest(registry, aliases, s) for s in sorted(set(judged.surfaces) - set(chosen))}
    missing = [s for s, now in others.items()
               if now is None or now.facts["verdict_fingerprint"] != verdict_manifest.fingerprint]
    if missing:
        raise PinrecError(f"policy all moves every surface or none, but there is no release for {', '.join(missing)}; "
                          "build and verify it, or set gate.policy to each")


def check_comparison(registry: str, judged: Verdict, surface: str, now: Manifest | None) -> None:
    """The release that is live now must be the one the gate compared with, or a refresh of it, or hold the very model
    it judged. Raises PinrecError."""
    live, compared = now.fingerprint if now else None, judged.surfaces[surface].live_release
    if live == compared or (now and bundle.evaluated_model(now) == judged.surfaces[surface].model_fingerprint):
        return
    if now and compared and stored.is_refresh_of(registry, now, compared):
        return
    raise PinrecError(f"{surface}: the verdict compared with live release {compared}, but live is now {live}; run "
                      "evaluate and gate again against it")


def _proven(registry: str, judged: Verdict, verdict_manifest: Manifest, release_id: str, forced: bool) -> Manifest:
    with storage.local_tree(registry_.release_path(registry, release_id)) as directory:
        manifest = bundle.read_release(directory, release_id)
    surface = manifest.facts["surface"]
    if surface not in passing(judged, forced):
        known = surface in judged.surfaces
        why = surface_reasons(judged.surfaces[surface], forced) if known else ["the verdict does not know it"]
        raise PinrecError(f"release {release_id} is of surface {surface!r}, which the verdict did not pass: "
                          f"{'; '.join(why)}")
    _check_same(manifest, judged, verdict_manifest)
    require_verification(registry, release_id, manifest)
    return manifest


def _check_same(manifest: Manifest, judged: Verdict, verdict_manifest: Manifest) -> None:
    """Everything the release says of its verdict must be what the verdict says of itself."""
    surface = manifest.facts["surface"]
    expected = {"verdict_fingerprint": verdict_manifest.fingerprint,
                "model_fingerprint": judged.surfaces[surface].model_fingerprint,
                "dataset_fingerprint": judged.surfaces[surface].dataset_fingerprint,
                "evaluation_fingerprint": judged.surfaces[surface].evaluation_fingerprint}
    found = {name: manifest.facts[name] for name in expected}
    for embedded, judged_file in ((bundle.VERDICT, VERDICT_NAME),
                                  (bundle.EVALUATION, f"{EVALUATIONS_FOLDER}/{surface}.json")):
        found[embedded] = manifest.files[embedded].sha256
        expected[embedded] = verdict_manifest.files[judged_file].sha256
    for name, value in expected.items():
        if found[name] != value:
            raise IntegrityError(f"release {manifest.fingerprint} ({surface}): its {name} is {found[name]}, the "
                                 f"verdict has {value}; build the release from this verdict")
