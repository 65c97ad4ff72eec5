# The hands: everything that the node's image has, and torch, MONAI and the weights.
# CPU:  docker build -f deploy/worker.Dockerfile -t wetread-worker .
# CUDA: the same with --build-arg TORCH_INDEX= (the default index, whose torch for Linux brings CUDA with it)
FROM docker.io/library/python:3.11-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/wetread/bin:$PATH
RUN python3 -m venv /opt/wetread

# Torch goes first and alone, so that no later step pulls another build of it.
ARG TORCH_VERSION=2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# hadolint ignore=DL3013
RUN python -m pip install --no-deps ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} "torch==${TORCH_VERSION}"

# Dependencies before the code: a change of the code does not install them again.
WORKDIR /source
COPY pyproject.toml deploy/data-wheels.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        print(*project['dependencies'], *project['optional-dependencies']['bundles'], sep='\n')" > requirements.txt \
    && python -m pip install -r requirements.txt \
    && python -m pip install --no-deps -r data-wheels.txt

COPY README.md ./
COPY node node
COPY pipelines pipelines
COPY workers workers
RUN python -m pip install --no-deps .

FROM docker.io/library/python:3.11-slim

# Fonts for the names of patients on contact sheets and in PDF documents.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends fonts-dejavu-core fonts-droid-fallback fonts-nanum \
    && rm -rf /var/lib/apt/lists/*

# The same uid as in node.Dockerfile: both write to one volume.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/wetread wetread \
    && install --directory --owner=wetread --mode=0750 /var/lib/wetread
COPY --from=build /opt/wetread /opt/wetread

USER 10001
WORKDIR /var/lib/wetread
ENV PATH=/opt/wetread/bin:$PATH PYTHONDONTWRITEBYTECODE=1 WETREAD_CONFIG=/etc/wetread/wetread.toml
ENTRYPOINT ["wetread"]
CMD ["work"]
