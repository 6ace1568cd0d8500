"""What pinrec was tested with, and how versions compare."""

from __future__ import annotations

import re

PYTHON = (3, 11)
DOCKER = (20, 10)  # the oldest that builds the image
KUSTOMIZE = (5, 0)  # in kubectl; older ones do not know all that manifests/ says
MINIKUBE = (1, 25)  # the oldest with `image ls --format json`
KFP = ((2, 15), (2, 17))  # of the backend, oldest and newest
KFP_SCHEDULED_DATE = (2, 16)  # the oldest that fills the date into a scheduled run


def numbers(text: str) -> tuple[int, int] | None:
    """Major and minor of a version or of an image's tag, None if it is none.

    >>> numbers("v1.32.4-dispatcher"), numbers("2.15.0"), numbers("master")
    ((1, 32), (2, 15), None)
    """
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def dotted(version: tuple[int, int]) -> str:
    """As it is written.

    >>> dotted((2, 15))
    '2.15'
    """
    return ".".join(map(str, version))
