"""finetune: the base model goes on learning from one surface's feed views, impressions included.

    pinrec finetune --config FILE --dataset DIR --base DIR --surface NAME --output DIR
"""

from __future__ import annotations

import logging
from pathlib import Path

from pinrec_core.config import FinetuneConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.views import feed_views
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import Manifest, fingerprint_of, read_manifest
from pinrec_core.model.io import load_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.storage import staged_directory
from pinrec_core.training.loop import Fit
from pinrec_core.training.popularity import start_bias
from pinrec_core.training.pretrain import seal_model
from pinrec_core.training.validation import Validation

logger = logging.getLogger("pinrec")


def finetune(dataset: Path, base: Path, output: Path, *, surface: str, finetune: FinetuneConfig,
             checkpoints: Path | None = None) -> Manifest:
    """Fine-tune `base` on a surface and write the model to `output` (kind "model", stage "finetuned").

    The weights it starts from, the base model's but for a bias started anew, take part in the choice of the best.
    Raises ConfigError for an unknown surface or a popularity start without bias, IntegrityError if base and dataset do
    not belong together.
    """
    data = Dataset.open(dataset)
    if surface not in data.log.surfaces:
        raise ConfigError(f"surface {surface!r} is not modelled; log.surfaces are {list(data.log.surfaces)}")
    trained_on = read_manifest(base, "model", verify=False).parents["dataset"]
    if trained_on != data.manifest.fingerprint:
        raise IntegrityError(f"{base} was trained on dataset {trained_on[:12]}, {dataset} is "
                             f"{data.manifest.fingerprint[:12]}; pretrain again or pass the dataset it was trained on")
    model = load_model(base)
    _start_bias(model, data, surface, finetune)
    views = feed_views(data, surface, model.config.max_length, finetune, model.config.offsets_s)
    logger.info("finetune %s: %d rows, %d targets", surface, len(views), len(views.row_G))
    with staged_directory(output) as aside:
        fit = Fit(f"finetune {surface}", model, views, _validation(data, surface, finetune), finetune,
                  aside / "metrics.jsonl")
        fit.run()
        parents = {"dataset": data.manifest.fingerprint, "base": read_manifest(base, "model", verify=False).fingerprint}
        return seal_model(fit, aside, fingerprint_of(model.config, finetune), parents,
                          {"stage": "finetuned", "surface": surface})


def _validation(data: Dataset, surface: str, finetune: FinetuneConfig) -> Validation:
    """The surface's own requests; those of all modelled surfaces where the own are too few to choose by."""
    own = Validation.before_the_window(data, (surface,), finetune)
    if len(own) >= finetune.min_validation_requests:
        return own
    logger.info("finetune %s: %d validation requests, all modelled surfaces choose instead", surface, len(own))
    return Validation.before_the_window(data, data.log.surfaces, finetune)


def _start_bias(model: PinRec, data: Dataset, surface: str, finetune: FinetuneConfig) -> None:
    if not finetune.popularity_half_life_days:
        return
    if model.item_bias is None:
        raise ConfigError(f"popularity_half_life_days is {finetune.popularity_half_life_days:g} and the base model has "
                          "no item bias; set model.item_bias or leave the half life at 0")
    for name in data.log.surfaces if finetune.other_surfaces else (surface,):
        start_bias(model, data, name, finetune.popularity_half_life_days, finetune.popularity_prior)
