# The hospital's side: listener, housekeeping and delivery, status page. No torch, no model weights are read.
# Build from the top of the repository: docker build -f deploy/node.Dockerfile -t wetread-node .
FROM docker.io/library/python:3.11-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/wetread/bin:$PATH
RUN python3 -m venv /opt/wetread

# Dependencies before the code: a change of the code does not install them again.
WORKDIR /source
COPY pyproject.toml deploy/node_requirements.py ./
RUN python node_requirements.py pyproject.toml > requirements.txt \
    && python -m pip install -r requirements.txt

COPY README.md ./
COPY node node
COPY pipelines pipelines
COPY workers workers
RUN python -m pip install --no-deps .

FROM docker.io/library/python:3.11-slim

# The same uid as in worker.Dockerfile: both write to one volume.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/wetread wetread \
    && install --directory --owner=wetread --mode=0750 /var/lib/wetread
COPY --from=build /opt/wetread /opt/wetread

USER 10001
WORKDIR /var/lib/wetread
ENV PATH=/opt/wetread/bin:$PATH PYTHONDONTWRITEBYTECODE=1 WETREAD_CONFIG=/etc/wetread/wetread.toml
# Every import of the node holds without torch, or this is no image.
RUN python -c "import node.cli, importlib.util as u; assert u.find_spec('torch') is None"
EXPOSE 11112 8042
ENTRYPOINT ["wetread"]
CMD ["listen"]
