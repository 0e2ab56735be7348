# The sidecar. Build from the root of the repository: docker build -t flash-sale-sidecar .
#
# To pin the base image by digest, for byte-identical builds: `docker buildx imagetools inspect
# python:3.13.15-slim-bookworm` prints it; write python:3.13.9-slim-bookworm@sha256:... in both places.
FROM python:3.13.15-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The locked and hashed packages. They come before the code, so that a change of the code does not reinstall them.
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/sidecar \
    && pip --python /opt/sidecar/bin/python install --require-hashes -r requirements.lock

# The wheel is built with the locked setuptools; nothing else comes from the network.
COPY requirements-demo.lock ./
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-demo.lock > build.lock \
    && pip install --require-hashes -r build.lock
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY sidecar sidecar
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/sidecar/bin/python install --no-deps --no-index /wheels/*.whl

FROM python:3.13.15-slim-bookworm

COPY --from=build /opt/sidecar /opt/sidecar
# Inside a container nobody can reach loopback: the published ports decide who can connect. [::] is every address,
# including IPv4.
# OPENBLAS: NumPy would start a thread for every processor.
ENV PATH=/opt/sidecar/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    SIDECAR_HTTP_LISTEN=[::]:9850 \
    SIDECAR_WS_LISTEN=[::]:9851
# A number, so that Kubernetes can check that it is not root. It writes no files.
USER 65532:65532
EXPOSE 9850 9851
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; host, _, port = os.environ['SIDECAR_HTTP_LISTEN'].rpartition(':'); host = 'localhost' if host in ('[::]', '0.0.0.0') else host; urllib.request.urlopen(f'http://{host}:{port}/healthz', timeout=2)"]
ENTRYPOINT ["sidecar"]
CMD ["run"]
