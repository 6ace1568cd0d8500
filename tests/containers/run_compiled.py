"""Run a compiled pipeline with KFP's Docker runner, each task in a container without a network.

    python tests/containers/run_compiled.py PIPELINE.yaml ARGUMENTS.json ROOT

Everything the tasks read and write lies below ROOT, which every container sees at the same path. A process of its own,
because KFP patches print and logging. Its exit code says little: the Docker runner takes a container that is gone
before it is asked for a success. So whoever calls looks at what the run has left.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from docker.types import Mount
from kfp import components, local

THREADS = {"OMP_NUM_THREADS": "1"}  # two tasks at once, on two cores


def main(pipeline: str, arguments: str, root: Path) -> None:
    """Run the pipeline to its end, whatever the end is."""
    os.umask(0)  # KFP makes the tasks' folders as us, and the tasks are the image's user
    runner = local.DockerRunner(network_mode="none", environment=THREADS,
                                mounts=[Mount(target=str(root), source=str(root), type="bind")])
    local.init(runner, pipeline_root=str(root / "tasks"), workspace_root=str(root / "scratch"), raise_on_error=False,
               enable_caching=True, cache_root=str(root / "cache"))
    components.load_component_from_file(pipeline)(**json.loads(Path(arguments).read_text("utf-8")))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
