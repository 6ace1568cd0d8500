"""The settings behind a model, by section, out of the two files of its directory that tell of them."""

from __future__ import annotations

from typing import Any


def training_settings(described: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    """Sections of the configuration that made a model; `described` is model.json, `training` is training.json or {}."""
    base = (training.get("base") or {}).get("training") or {}
    return {"model": described["model"], "log": described["log"], "experts": described["experts"],
            "finetune": training.get("settings", {}), "pretrain": base.get("settings", {})}
