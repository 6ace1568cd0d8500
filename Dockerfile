# The one image: every task of the pipeline and the service run in it. How to build, push and use it: docs/image.md.
#
#   make image              torch for the CPU, from wheels/, as pinrec:<version>
#   make image TORCH=cuda   torch with CUDA, as the package index has it for x86
#
# Builds with BuildKit and with the builder before it, so no mounts. KFP caches by image name: a new tag for new code.

ARG BASE=python:3.11-slim

# 1. The environment, with all that only building needs.
FROM $BASE AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/pinrec
ENV PATH=/opt/pinrec/bin:$PATH
WORKDIR /src
COPY wheels /wheels
COPY constraints.txt ./
# cpu: a wheel in wheels/, which pip looks through, or what wheels/pip.conf, pip's own configuration, leads to. It is not
# installed by its path: the bill of materials would not know it as a package. What came is looked at before the rest is
# fetched: on x86 the usual package index has a build with CUDA, which is gigabytes more.
ENV PIP_FIND_LINKS=/wheels PIP_CONFIG_FILE=/wheels/pip.conf
ARG TORCH=cpu
RUN test "$TORCH" = cpu || rm -f /wheels/torch-*+cpu-*
RUN pip install --no-deps -c constraints.txt torch
RUN cuda=$(python -c "import runpy, sys; print(runpy.run_path(sys.argv[1])['cuda'] or '')" \
        /opt/pinrec/lib/python3*/site-packages/torch/version.py) \
    && case "$TORCH:$cuda" in \
       cpu: | cuda:?*) ;; \
       *) echo "TORCH=$TORCH is asked for, but this torch has CUDA '$cuda': see docs/image.md"; exit 1 ;; esac
# Other people's packages before ours: this layer stays while only our code changes.
COPY pyproject.toml ./
COPY pinrec_core/__init__.py pinrec_core/__init__.py
# The gcp extra: without it Beam asks gs:// for nothing but public objects. torch is here already.
RUN pip install -c constraints.txt ".[steps,serve,gcp]"
# A task's KFP executor needs the package kfp alone, not the client's dependencies.
RUN pip install -c constraints.txt --no-deps kfp
COPY pinrec_core ./pinrec_core
COPY components ./components
COPY pipelines ./pipelines
RUN pip install --no-deps --force-reinstall .
ARG VERSION=0.1.0
RUN test "$(pinrec --version)" = "pinrec $VERSION" \
    || { echo "VERSION=$VERSION is asked for, but this is $(pinrec --version)"; exit 1; }
# What compiles or tests other software, and pip. Bytecode stays: without it every start is seconds slower.
RUN cd /opt/pinrec/lib/python3*/site-packages \
    && rm -rf torch/include torch/share torch/test pyarrow/include numpy/_core/include \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && find . -type f -name '*.a' -delete \
    && find . -depth -type d -name tests -exec rm -rf {} + \
    && pip uninstall -y pip

# 2. What is run.
FROM $BASE AS runtime
RUN useradd --create-home --uid 10001 pinrec
COPY --from=build /opt/pinrec /opt/pinrec
ENV PATH=/opt/pinrec/bin:$PATH

# 3. What is in it: Python's packages and Debian's in one CycloneDX document.
FROM runtime AS sbom
WORKDIR /sbom
COPY constraints.txt pyproject.toml ./
RUN python -m venv tools && tools/bin/pip install --no-cache-dir -c constraints.txt cyclonedx-bom debsbom
ARG VERSION=0.1.0
RUN tools/bin/cyclonedx-py environment --pyproject pyproject.toml --spec-version 1.6 -o python.cdx.json \
        /opt/pinrec/bin/python \
    && tools/bin/debsbom generate --sbom-type cdx --cdx-schema-version 1.6 --no-recommends-deps --out debian \
    && tools/bin/debsbom merge --sbom-type cdx --cdx-schema-version 1.6 --distro-name pinrec \
        --distro-version "$VERSION" --out sbom debian.cdx.json python.cdx.json

FROM runtime
COPY --from=sbom /sbom/sbom.cdx.json /opt/pinrec/share/sbom.cdx.json
# What every release that is built in this image says of it (pinrec lineage).
ARG IMAGE="an image without a name"
ARG COMMIT=""
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="pinrec" \
      org.opencontainers.image.description="Tasks and service of a gated, versioned retrieval workflow over event logs" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$COMMIT
# Large buffers are reused instead of being given back after every step; output is not held back; ONNX Runtime, which
# sends its maker events over the network by default, sends none.
ENV PINREC_CONTAINER_IMAGE=$IMAGE PINREC_COMMIT=$COMMIT PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 \
    MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296
USER 10001
WORKDIR /home/pinrec
# A container that runs a task instead of `pinrec serve` counts as healthy.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "pinrec_core.serving.health"]
CMD ["pinrec", "--help"]
