"""Compile the training pipeline to YAML: `pinrec compile [--output FILE]`.

The file under manifests/compiled is a golden: a test compiles again and compares bytes. The image name is compiled in
(PINREC_IMAGE), and so is the volume of the training steps (PINREC_CLAIM): compile once per target.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from components.image import CLAIM, CLAIM_FOLDER
from pinrec_core.errors import ConfigError

COMPILED = Path("manifests/compiled/pinrec_training.yaml")


def compile_training(output: Path = COMPILED) -> Path:
    """Write the compiled pipeline and return where it is; byte-identical for the same sources and kfp version.

    Raises ConfigError if PINREC_CLAIM is not claim:folder.
    """
    if CLAIM and not CLAIM_FOLDER.startswith("/"):
        raise ConfigError(f"PINREC_CLAIM {CLAIM}:{CLAIM_FOLDER} names no absolute folder; write claim:/mnt/pinrec")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=FutureWarning)
        from kfp.compiler import Compiler

        from pipelines.training import pinrec_training
    output.parent.mkdir(parents=True, exist_ok=True)
    Compiler().compile(pinrec_training, str(output))
    return output
