"""A world whose recall is known: users engage with what follows their leader item, and a model is told what follows it.

Six leaders, each followed by 20 items and by ten users, who click all 20 on home and on search. A model that is told of
all has a recall@20 of 1 on both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pinrec_core.config import EvaluationConfig, GateConfig, IndexConfig, ModelConfig, Policy
from pinrec_core.evaluation.evaluate import evaluate
from pinrec_core.manifest import read_manifest, write_manifest
from pinrec_core.model.experts import Experts
from pinrec_core.model.io import save_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import Transitions

from .world import DAY_MS, GENERATION, LOG, TRAIN_END_MS, item_table, write_tables

LEADERS, FOLLOWERS, USERS = 6, 20, 60
ITEMS = LEADERS * (FOLLOWERS + 1)  # the leaders come first
CLICK = 1


def followers(leader: int) -> np.ndarray:
    """The items that follow a leader."""
    return LEADERS + leader * FOLLOWERS + np.arange(FOLLOWERS)


def write_known_dataset(folder: Path) -> None:
    """Each user clicks the leader before the evaluation window and all its followers in it, on each surface."""
    sequences, views = [], []
    for user in range(USERS):
        leader, user_id = user % LEADERS, f"u{user:03}"
        shown = [(0, [leader], TRAIN_END_MS - DAY_MS)]
        shown += [(surface, followers(leader).tolist(), TRAIN_END_MS + 1000 * (surface + 1)) for surface in (0, 1)]
        tokens = [(item, CLICK, surface, time + n, view) for view, (surface, items, time) in enumerate(shown)
                  for n, item in enumerate(items)]
        sequences.append((user_id, 0, *(list(column) for column in zip(*tokens, strict=True))))
        views += [(user_id, 0, surface, view, time, -1, items, [CLICK] * len(items), list(range(len(items))))
                  for view, (surface, items, time) in enumerate(shown)]
    write_tables(folder, item_table(ITEMS), sequences, views)


def write_known_model(folder: Path, dataset: Path, *, seed: int, forgotten: int = 0) -> None:
    """A model that is told what follows each leader; of every other one it takes `forgotten` items for others."""
    torch.manual_seed(seed)
    told = [followers(leader) for leader in range(LEADERS)]
    for leader in range(0, LEADERS, 2):
        told[leader][:forgotten] = followers(leader + 1)[:forgotten]
    config = ModelConfig(width=16, layers=1, heads=2, item_dim=16, max_length=8, id_buckets=256, id_dim=16,
                         transitions=True)
    model = PinRec(config, LOG, item_table(ITEMS), {surface: {"click": 1.0} for surface in LOG.surfaces})
    offsets = np.minimum(np.arange(ITEMS + 1), LEADERS) * FOLLOWERS
    model.transitions = Transitions(offsets, np.concatenate(told), np.full(LEADERS * FOLLOWERS, 1e6))
    model.experts = Experts(transitions=5.0)
    folder.mkdir()
    save_model(model.eval(), folder)
    (folder / "metrics.jsonl").write_text('{"stage": "finetune", "epoch": 1, "step": 1, "loss": 1.0}\n')
    write_manifest(folder, kind="model", parents={"dataset": read_manifest(dataset, "dataset").fingerprint})


def evaluate_known(folder: Path, name: str, surface: str, registry: str) -> Path:
    """Evaluate folder/<name> for real."""
    output = folder / f"evaluation-{name}-{surface}"
    evaluate(folder / "dataset", folder / name, output, surface=surface, generation=GENERATION, registry=registry,
             evaluation=EvaluationConfig(ks=(10, 20), bootstrap_samples=500), index=IndexConfig())
    return output


def known_gate(policy: Policy) -> GateConfig:
    """A floor that is reached by far, a tolerance of 2 %, of 10 % on slices."""
    return GateConfig(floors={surface: {"recall@20": 0.5} for surface in LOG.surfaces}, policy=policy,
                      rules={"max_drop_per_slice": {}})
