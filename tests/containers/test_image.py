"""What is in the image, how large it is and how fast it starts."""

from __future__ import annotations

import json
import statistics
import sys

import pinrec_core

from .conftest import ROOT

MAX_BYTES = 2_500_000_000
MAX_START_S = 2.0
SBOM = "/opt/pinrec/share/sbom.cdx.json"
TOOLS = ("gcc", "cc", "g++", "c++", "clang", "make", "cmake", "ld", "as", "git", "cargo", "nvcc")
STARTS = 5


def test_it_runs_as_a_numbered_user_that_is_not_root(image, inside):
    assert image.attrs["Config"]["User"] == "10001"
    assert inside("id -u").strip() == "10001"
    assert inside("touch /opt/pinrec/probe 2>/dev/null && echo written || echo refused").strip() == "refused"


def test_no_compiler_is_in_it(inside):
    found = inside(f"for tool in {' '.join(TOOLS)}; do command -v $tool || true; done")
    assert not found, found
    assert not inside("find / -xdev -name '*.a' -size +100k 2>/dev/null || true"), "static libraries"


def test_labels_say_what_it_is(image):
    labels = image.labels
    assert labels["org.opencontainers.image.title"] == "pinrec"
    assert labels["org.opencontainers.image.version"] == pinrec_core.__version__
    assert len(labels["org.opencontainers.image.revision"].removesuffix("+changes")) == 40
    assert labels["org.opencontainers.image.description"]


def test_the_bill_of_materials_is_what_is_installed(inside):
    listed = json.loads(inside(f"cat {SBOM}"))
    assert (listed["bomFormat"], listed["metadata"]["component"]["version"]) == ("CycloneDX", pinrec_core.__version__)
    components = {(kind, part["name"].lower().replace("_", "-").replace(".", "-")): part["version"]
                  for part in listed["components"]
                  for kind in [part.get("purl", "").partition("/")[0]] if kind in ("pkg:pypi", "pkg:deb")}
    installed = inside("python -c 'from importlib.metadata import distributions\n"
                       "for d in distributions(): print(d.name, d.version)'").splitlines()
    python = {name.lower().replace("_", "-").replace(".", "-"): version
              for name, version in map(str.split, installed)}
    assert python["torch"].startswith(_constraint("torch")) and "kfp" in python
    missing = {name: version for name, version in python.items()
               if components.get(("pkg:pypi", name)) != version and name != "pinrec"}
    assert not missing
    debian = dict(line.split() for line in inside("dpkg-query -W -f '${Package} ${Version}\\n'").splitlines())
    assert debian["libc6"]
    missing = {name: version for name, version in debian.items()
               if components.get(("pkg:deb", name.replace(".", "-"))) != version}
    assert not missing


def test_torch_is_for_the_cpu_and_counts(inside):
    said = inside("python -c 'import torch; print(torch.version.cuda, float(torch.ones(3) @ torch.ones(3)))'")
    assert said.split() == ["None", "3.0"]


def test_what_was_left_out_is_not_missed(inside):
    """Every module that a step or the service starts with can be imported without tests, headers and pip."""
    modules = ["kfp.dsl.executor_main", "faiss", "onnxruntime", "onnxscript", "torch.distributed.run", "apache_beam",
               "apache_beam.io.gcp.gcsio", "kubeflow.trainer", "matplotlib.pyplot", "pinrec_core.serving.app"]
    imports = "; ".join(f"python -c 'import {module}'" for module in modules)
    assert inside(f"export _KFP_RUNTIME=true; {imports}; echo all").endswith("all\n")  # as KFP starts a task


def test_it_is_small_and_starts_fast(image, inside, capsys):
    size = image.attrs["Size"]
    starts = [float(seconds) for _ in range(STARTS) for seconds in inside(
        "from=$(date +%s%N); pinrec --version >&2; to=$(date +%s%N); "
        "python -c \"print(($to - $from) / 1e9)\"").split()[-1:]]
    with capsys.disabled():
        sys.stdout.write(f"\nimage: {size / 1e9:.2f} GB; pinrec --version in a new container: median "
                         f"{statistics.median(starts):.2f} s, slowest {max(starts):.2f} s of {STARTS}\n")
    assert size <= MAX_BYTES
    assert max(starts) < MAX_START_S


def _constraint(package: str) -> str:
    """The version that constraints.txt names."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))
