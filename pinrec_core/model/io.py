"""A model directory: model.json, weights.safetensors, items.parquet, and transitions.npz if the model counts them.

Weights are data only, never code. Training adds training.json: its settings, and those of the base model.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pinrec_core.config import LogConfig, ModelConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.manifest import read_manifest
from pinrec_core.model.experts import Experts
from pinrec_core.model.item_encoder import IdTables, whole_tables
from pinrec_core.model.pinrec import PinRec
from pinrec_core.model.transitions import Transitions


def save_model(model: PinRec, directory: Path, weights: dict[str, Tensor] | None = None) -> None:
    """Write model files into `directory`; the caller seals it with a manifest of kind "model".

    `weights` are given where the model does not hold all of its own (see RowShards).
    """
    weights = model.state_dict() if weights is None else weights
    description = {"model": model.config.model_dump(mode="json"), "log": model.log.model_dump(mode="json"),
                   "action_shares": model.action_shares, "experts": model.experts._asdict()}
    (directory / "model.json").write_text(json.dumps(description, indent=1))
    save_file({name: tensor.contiguous() for name, tensor in weights.items()},
              directory / "weights.safetensors")
    pq.write_table(model.items, directory / "items.parquet")
    if model.transitions is not None:
        model.transitions.save(directory / "transitions.npz")


def load_model(directory: Path, verify: bool = True, id_tables: IdTables = whole_tables) -> PinRec:
    """Read a complete model, in evaluation mode. Raises IntegrityError if files are altered or do not fit together.

    The weights are mapped, not read: a model that takes only some rows of its id tables touches no more of them.
    """
    read_manifest(directory, "model", verify=verify)
    model = _described(directory, id_tables)
    try:
        model.load_state_dict(load_file(directory / "weights.safetensors"))
        if model.config.transitions:
            model.transitions = Transitions.load(directory / "transitions.npz")
    except RuntimeError as error:
        raise IntegrityError(f"{directory}: weights do not fit model.json: {error}") from error
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise IntegrityError(f"{directory}: weights are no plain data of the expected kind ({error}); nothing but "
                             "safetensors and arrays of numbers is read; train the model again") from error
    return model.eval()


def _described(directory: Path, id_tables: IdTables) -> PinRec:
    """The model of model.json and items.parquet, its weights still to come. Raises IntegrityError (see load_model)."""
    description = json.loads((directory / "model.json").read_text())
    try:
        config, log = (kind.model_validate(description[part])
                       for kind, part in ((ModelConfig, "model"), (LogConfig, "log")))
        shares, experts = description["action_shares"], Experts(**description["experts"])
    except (KeyError, TypeError, ValidationError) as error:
        raise IntegrityError(f"{directory}: model.json is that of another version of pinrec ({error}); train the model "
                             "again with this one") from error
    model = PinRec(config, log, pq.read_table(directory / "items.parquet"), shares, id_tables)
    model.experts = experts
    return model
