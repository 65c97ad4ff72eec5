# Orthanc as the PACS of the compose file: Debian's package, which is also what the tests run against.
# Build from the top of the repository: docker build -f deploy/orthanc.Dockerfile -t wetread-orthanc .
FROM docker.io/library/debian:bookworm-slim

# curl: for the health check. The release of Debian decides the versions.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl orthanc orthanc-dicomweb \
    && rm -rf /var/lib/apt/lists/* \
    && usermod --uid 10002 orthanc \
    && install --directory --owner=orthanc --group=orthanc --mode=0750 /var/lib/orthanc/db

COPY deploy/orthanc/orthanc.json deploy/orthanc/route.lua /etc/orthanc/

USER 10002
ENV MALLOC_ARENA_MAX=5
EXPOSE 4242 8042
ENTRYPOINT ["Orthanc"]
CMD ["/etc/orthanc/orthanc.json"]
