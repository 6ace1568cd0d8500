"""Where a candidate comes from, from the release's own lineage, or from the verdict where there is no release."""

from __future__ import annotations

from typing import Any, NamedTuple

from pinrec_core.report.released import Released
from pinrec_core.report.run_facts import RunFacts


class Link(NamedTuple):
    """One thing in the chain."""

    what: str
    fingerprint: str  # "" = it has none
    told: str


def chain(surface: str, facts: RunFacts, release: Released | None) -> list[Link]:
    """From the events to the release, in this order, as far as it is known."""
    manifests = (release.lineage.get("manifests") if release else None) or {}
    known = {fingerprint: one for fingerprint, one in manifests.items() if isinstance(one, dict)}
    links = _inputs(release) + _dataset(facts)
    links += [Link(_stage(one), fingerprint, _numbers(one.get("counts"))) for fingerprint, one in
              sorted(known.items(), key=lambda pair: _stage(pair[1]) != "base model") if one.get("kind") == "model"]
    judged = facts.verdict.surfaces.get(surface) if facts.verdict else None
    if judged and not known and judged.model_fingerprint:
        links.append(Link("candidate model", judged.model_fingerprint, judged.model_path))
    if judged and judged.evaluation_fingerprint:
        compared = f"compared with live release {judged.live_release[:12]}" if judged.live_release else \
            "nothing was live to compare with"
        links.append(Link("evaluation", judged.evaluation_fingerprint, compared))
    return links + _release(release)


def _inputs(release: Released | None) -> list[Link]:
    inputs = (release.lineage.get("inputs") if release else None) or {}
    events = inputs.get("events")
    if not isinstance(events, dict) or not events:
        return []
    files = [file for day in events.values() for file in day]
    return [Link("events", "", f"{len(files)} files of {len(events)} partitions, {min(events)} to {max(events)}, "
                               f"{sum(file[2] for file in files):,} rows; {len(inputs.get('catalog') or [])} catalog "
                               "files")]


def _dataset(facts: RunFacts) -> list[Link]:
    data = facts.data or {}
    return [Link("dataset", str(data["fingerprint"]), str(data.get("uri", "")))] if data.get("fingerprint") else []


def _stage(manifest: dict[str, Any]) -> str:
    return "base model" if (manifest.get("facts") or {}).get("stage") == "base" else "candidate model"


def _numbers(counts: Any) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in counts.items()) if isinstance(counts, dict) else ""


def _release(release: Released | None) -> list[Link]:
    if release is None:
        return []
    built = release.built
    told = f"built {built.get('when', '?')} by {built.get('who', '?')}, pinrec {built.get('code_version', '?')}, " \
           f"commit {str(built.get('commit') or 'not known')[:12]}, image {built.get('image', '?')}" if built else ""
    return [Link("release", release.release_id, told)]
