"""finetune: the base model goes on learning from one surface's feed views, impressions included.

    pinrec finetune --config FILE --dataset DIR --base DIR --surface NAME --output DIR
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from pinrec_core.config import ExpertWeights, FinetuneConfig
from pinrec_core.data.dataset import Dataset
from pinrec_core.data.views import feed_views
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.manifest import Manifest, fingerprint_of, read_manifest
from pinrec_core.model.io import load_model
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.device import trained_on, training_device
from pinrec_core.training.loop import Fit, Watch
from pinrec_core.training.output import METRICS, ModelOutput, training_of
from pinrec_core.training.ranks import ALONE, Ranks
from pinrec_core.training.row_shards import id_tables
from pinrec_core.training.stop import StopSignals
from pinrec_core.training.validation import Validation

logger = logging.getLogger("pinrec")


def finetune(dataset: Path, base: Path, output: Path, *, surface: str, finetune: FinetuneConfig,
             checkpoints: Path | None = None, watch: Watch | None = None) -> Manifest:
    """Fine-tune `base` on a surface and write the model to `output` (kind "model", stage "finetuned").

    The base model's weights take part in the choice of the best. `checkpoints` and calling it again are as for
    pretrain, and so are the errors; ConfigError too for an unknown surface or a fixed weight of an expert that the
    model does not have, IntegrityError too if base and dataset do not belong together. Under torchrun all processes
    call it alike (see pretrain).
    """
    stage, ranks = f"finetune {surface}", Ranks.join(finetune.rank_timeout_s)
    with StopSignals(stage, ranks) as stop:
        with stop.at_once():
            data = Dataset.open(dataset)
            model, base_fingerprint = _base_of(base, data, surface, ranks)
            wanted = ModelOutput(Path(output), stage, fingerprint_of(model.config, finetune),
                                 {"dataset": data.manifest.fingerprint, "base": base_fingerprint},
                                 {"stage": "finetuned", "surface": surface}, training_of(stage, finetune, Path(base)))
            place = wanted.checkpoints(checkpoints, finetune, ranks)
            ranks.check_same(f"what {stage} is given", place.fingerprint)
            if found := ranks.broadcast(wanted.found()):
                place.clear()
                return found
            views = feed_views(data, surface, model.config.max_length, finetune, model.config.offsets_s)
            logger.info("%s: %d rows, %d targets", stage, len(views), len(views.row_G))
            fit = Fit(stage, model, views, _validation(data, surface, finetune, ranks), finetune,
                      place.folder / METRICS, experts=finetune.experts.get(surface, ExpertWeights()), checkpoints=place,
                      stop=stop, ranks=ranks, watch=watch)
        with trained_on(training_device(), model):
            fit.run()
        return wanted.seal(fit)


def _base_of(base: Path, data: Dataset, surface: str, ranks: Ranks) -> tuple[PinRec, str]:
    """The base model and its fingerprint."""
    if surface not in data.log.surfaces:
        raise ConfigError(f"surface {surface!r} is not modelled; log.surfaces are {list(data.log.surfaces)}")
    manifest = read_manifest(base, "model", verify=False)
    if manifest.parents["dataset"] != data.manifest.fingerprint:
        raise IntegrityError(
            f"{base} was trained on dataset {manifest.parents['dataset'][:12]}, the dataset here is "
            f"{data.manifest.fingerprint[:12]}; pretrain again or pass the dataset it was trained on")
    return load_model(base, id_tables=partial(id_tables, ranks)), manifest.fingerprint


def _validation(data: Dataset, surface: str, finetune: FinetuneConfig,
                ranks: Ranks = ALONE) -> Validation:
    """The surface's own requests; those of all modelled surfaces where the own are too few to choose by."""
    own = Validation.before_the_window(data, (surface,), finetune, ranks)
    if len(own) >= finetune.min_validation_requests:
        return own
    logger.info("finetune %s: %d validation requests, all modelled surfaces choose instead", surface, len(own))
    return Validation.before_the_window(data, data.log.surfaces, finetune, ranks)
