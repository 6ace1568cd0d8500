"""The environment that the peer of benchmarks/train.py runs in: RecBole from PyPI, and what it needs to be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# RecBole 1.2.1 names numpy types that numpy 2 has dropped, and fills pandas columns in a way that pandas 3 ignores.
# torch is pinned to the version that PinRec is measured with.
PACKAGES = ("recbole==1.2.1", "numpy<2", "pandas<3", "torch==2.13.0")


def peer_python(folder: Path) -> Path:
    """The interpreter of the environment in `folder`, made if it is not there or not complete."""
    home = folder.resolve() / "recbole"
    python, done = home / "bin/python", home / ".installed"
    if not done.exists() or done.read_text() != " ".join(PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
                       check=True)
        done.write_text(" ".join(PACKAGES))
    return python
