"""Trained models of the surfaces benchmark, kept below a work folder and reused while nothing that shaped them changes.

A model's folder is named by the fingerprint of its settings, the dataset and the source of what trains it, so that an
edit of the code trains again and never passes an old model off as a new one. What training took is kept beside it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sasrec import Sasrec, SasrecConfig, Scorer, train_sasrec
from surfaces_rows import Row

import pinrec_core
from pinrec_core.config import Config
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.requests import Requests
from pinrec_core.manifest import fingerprint_of
from pinrec_core.schemas import NO_ITEM
from pinrec_core.storage import staged_directory, write_bytes
from pinrec_core.training.finetune import finetune
from pinrec_core.training.pretrain import pretrain
from pinrec_core.training.validation import TOP, Validation

SASREC_DROPOUTS = (0.2, 0.5)  # SASRec is trained with each; validation chooses
VALIDATION = "validation.json"  # the best validation recall of a SASRec
_ASKED = 1024  # requests scored at a time


class Models:
    """Trains on demand; `seconds[row][folder]` is what each training of a row took, be it now or when it was kept."""

    def __init__(self, work: Path, dataset: Path, config: Config):
        self.work, self.path, self.config = work, dataset, config
        self.data = Dataset.open(dataset)
        self.seconds: dict[str, dict[str, float]] = {}
        self._dropout: float | None = None

    def pretrained(self, row: Row, seed: int) -> Path:
        """The row's model before any fine-tuning."""
        settings = row.pretrain.model_copy(update={"seed": seed})
        return self._kept(row.name, "base", (row.model, settings), lambda folder: pretrain(
            self.path, folder, model=row.model, pretrain=settings))

    def finetuned(self, row: Row, seed: int, surface: str) -> Path:
        """The row's model of one surface."""
        base, settings = self.pretrained(row, seed), row.finetune.model_copy(update={"seed": seed})
        return self._kept(row.name, surface, (base.name, settings), lambda folder: finetune(
            self.path, base, folder, surface=surface, finetune=settings))

    def sasrec(self, row: Row, seed: int) -> Scorer:
        """SASRec on what PinRec is pretrained on, stopped on the same validation requests, which choose its dropout."""
        if self._dropout is None:  # by the first seed that is asked for
            folders = {dropout: self._sasrec(row, dropout, seed) for dropout in SASREC_DROPOUTS}
            self._dropout = max(folders, key=lambda dropout: json.loads((folders[dropout] / VALIDATION).read_text()))
        folder = self._sasrec(row, self._dropout, seed)
        weights = load_file(folder / "weights.safetensors")
        count_I = weights.pop("count_I").numpy()
        model = Sasrec(self.data.n_items, self._sasrec_config(self._dropout, seed))
        model.load_state_dict(weights)
        return Scorer(model, count_I)

    def _sasrec(self, row: Row, dropout: float, seed: int) -> Path:
        config, source = self._sasrec_config(dropout, seed), Path(__file__).with_name("sasrec.py").read_text("utf-8")
        return self._kept(row.name, "sasrec", (repr(config), source), partial(self._train_sasrec, config))

    def _sasrec_config(self, dropout: float, seed: int) -> SasrecConfig:
        """Length, learning rate and patience of PinRec's pretraining; as many epochs as it takes to stop improving."""
        train = self.config.pretrain
        return SasrecConfig(dropout=dropout, seed=seed, max_length=self.config.model.max_length,
                            learning_rate=train.learning_rate, batch_size=max(64, train.batch_size),
                            patience=train.patience, epochs=10 * train.epochs)

    def _train_sasrec(self, config: SasrecConfig, folder: Path) -> None:
        """Train on what the train users did before the evaluation window, and keep weights and validation recall."""
        data, users = self.data, self.data.users_in("train")
        stop_U = data.before(users, np.full(len(users), data.train_end_ms))
        parts = [data.item_E[a:b] for a, b in zip(data.offsets_U1[users], stop_U, strict=True)]
        validation = Validation.before_the_window(data, data.log.surfaces, self.config.pretrain)
        reached = []

        def validate(scorer: Scorer) -> float:
            reached.append(self._validated(scorer, validation))
            return reached[-1]

        scorer = train_sasrec(np.concatenate(parts), np.concatenate([[0], np.cumsum([len(part) for part in parts])]),
                              data.n_items, config, validate)
        with staged_directory(folder) as aside:
            kept = {**scorer.model.state_dict(), "count_I": torch.from_numpy(scorer.count_I)}
            save_file(kept, aside / "weights.safetensors")
            (aside / VALIDATION).write_text(json.dumps(max(reached)))

    def _validated(self, scorer: Scorer, validation: Validation) -> float:
        """Mean recall over validation requests, as PinRec's checkpoints are chosen."""
        shares = []
        for requests in validation.requests:
            item_RN = sasrec_lists(scorer, self.data, requests, TOP)
            shares += [np.isin(requests.item_T[a:b], item_N).mean() for a, b, item_N in
                       zip(requests.offsets_R1[:-1], requests.offsets_R1[1:], item_RN, strict=True)]
        return float(np.mean(shares)) if shares else 0.0

    def _kept(self, name: str, stage: str, settings: tuple, train: Callable[[Path], object]) -> Path:
        """The folder of a trained thing, trained now if it is not there."""
        key = fingerprint_of(self.data.manifest.fingerprint, self._code, stage, *settings)
        folder = self.work / "models" / f"{stage}-{key[:16]}"
        beside = folder.with_suffix(".seconds.json")
        if not folder.exists():
            start = time.perf_counter()
            train(folder)
            write_bytes(str(beside), json.dumps(round(time.perf_counter() - start, 2)).encode())
        if beside.exists():
            self.seconds.setdefault(name, {})[folder.name] = json.loads(beside.read_text())
        return folder

    @cached_property
    def _code(self) -> str:
        """sha256 of the source that PinRec's training depends on."""
        root, digest = Path(pinrec_core.__file__).parent, hashlib.sha256()
        for folder in ("config", "data", "model", "training"):
            for path in sorted((root / folder).glob("*.py")):
                digest.update(path.read_bytes())
        return digest.hexdigest()


def sasrec_lists(scorer: Scorer, data: Dataset, requests: Requests, n: int) -> np.ndarray:
    """The n best retrievable items of each request, [R, n]; its context item counts as the history's last."""
    lists = [np.zeros((0, n), np.int64)]
    for first in range(0, len(requests), _ASKED):
        part = requests.take(np.arange(first, min(first + _ASKED, len(requests))))
        histories = part.histories(data, scorer.model.config.max_length)
        score_RI = scorer([history.item_T for history in histories])
        score_RI[:, ~data.retrievable_I] = -np.inf
        top_RN = torch.from_numpy(score_RI).topk(min(n, score_RI.shape[1]), dim=1)
        item_RN = np.where(np.isinf(top_RN.values.numpy()), NO_ITEM, top_RN.indices.numpy())
        lists.append(np.pad(item_RN, ((0, 0), (0, n - item_RN.shape[1])), constant_values=NO_ITEM))
    return np.concatenate(lists)
