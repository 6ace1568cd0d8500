"""What counted experts are worth: configured, or chosen on validation, one expert after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np

from pinrec_core.config import ExpertWeights
from pinrec_core.errors import ConfigError
from pinrec_core.model.pinrec import PinRec
from pinrec_core.training.validation import Validation

logger = logging.getLogger("pinrec")
TRIED = {"repeats": (0.0, -1.0, -2.0, -4.0, -8.0, 0.5, 1.0, 2.0),  # the first of equals is taken
         "transitions": (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
         "exposure": (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)}


def weigh(model: PinRec, validation: Validation | None, fixed: ExpertWeights) -> Iterator[dict]:
    """Set `model.experts`; yields what was tried and found for each expert that validation chose.

    Without validation an expert that is not fixed keeps its weight. Raises ConfigError for a fixed weight of an expert
    that the model does not have.
    """
    given = {name: value for name, value in fixed.model_dump().items() if value is not None}
    known = _known(model)
    for name in given:
        if name not in known:
            raise ConfigError(f"experts.{name} is {given[name]:g}, but the model has no such expert; set the [model] "
                              "setting that counts it, or leave the weight out")
    model.experts = model.experts._replace(**given)
    for name in known if validation else ():
        if name not in given:
            yield _chosen(model, validation, name)


def _known(model: PinRec) -> list[str]:
    """The experts that the model was configured with."""
    present = {"repeats": model.config.repeats, "transitions": model.transitions is not None,
               "exposure": model.bias.counts_exposure}
    return [name for name in TRIED if present[name]]


def _chosen(model: PinRec, validation: Validation, name: str) -> dict:
    """Try every weight of one expert beside those of the others and keep the best."""
    tried = [model.experts._replace(**{name: weight}) for weight in TRIED[name]]
    scores = validation.scores(model, tried)
    best = int(np.argmax(scores))
    model.experts = tried[best]
    logger.info("%s get weight %.2f, validation %s %.4f (%.4f without)", name, TRIED[name][best], validation.name,
                scores[best], scores[0])
    return {"expert": name, "weights": TRIED[name], "scores": scores, "score": scores[best]}
