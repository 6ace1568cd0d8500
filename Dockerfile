# One image for every task of the pipeline: docker build -t pinrec:0.1.0 .
# KFP caches by image name, so build a new tag for new code.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/pinrec
ENV PATH=/opt/pinrec/bin:$PATH
WORKDIR /src
# Third-party packages first: this layer stays valid while only our code changes.
COPY pyproject.toml constraints.txt ./
COPY pinrec_core/__init__.py pinrec_core/__init__.py
# Without the gcp extra Beam asks gs:// for nothing but public objects.
RUN pip install -c constraints.txt ".[steps,serve,gcp]"
# The KFP executor inside a task needs the kfp package only, not the client's dependencies.
RUN pip install -c constraints.txt --no-deps kfp
COPY pinrec_core ./pinrec_core
COPY components ./components
COPY pipelines ./pipelines
RUN pip install --no-deps --force-reinstall .

FROM python:3.11-slim
# What every release that is built in this image says of it (pinrec lineage):
# docker build --build-arg IMAGE=pinrec:0.1.0 --build-arg COMMIT=$(git rev-parse HEAD) -t pinrec:0.1.0 .
ARG IMAGE="an image without a name"
ARG COMMIT=""
ENV PINREC_CONTAINER_IMAGE=$IMAGE PINREC_COMMIT=$COMMIT
# faiss and torch need the OpenMP runtime.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 pinrec
COPY --from=build /opt/pinrec /opt/pinrec
# Large buffers are reused instead of being given back after every step; output is not held back.
ENV PATH=/opt/pinrec/bin:$PATH PYTHONUNBUFFERED=1 \
    MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296
USER 10001
WORKDIR /home/pinrec
CMD ["pinrec", "--help"]
