# The sidecar. Build from the root of the repository: docker build -t flash-sale-sidecar .
#
# To pin the base image by digest, for builds that are the same to the byte: `docker buildx imagetools inspect
# python:3.13.15-slim-bookworm` prints it; write python:3.13.9-slim-bookworm@sha256:... in both places.
FROM python:3.13.15-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What it needs, as locked and hashed. Before its code, so that a change of the code does not install this anew.
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/sidecar \
    && pip --python /opt/sidecar/bin/python install --require-hashes -r requirements.lock

# The wheel is built with the locked setuptools, and from the network comes nothing more.
COPY requirements-demo.lock ./
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-demo.lock > build.lock \
    && pip install --require-hashes -r build.lock
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY sidecar sidecar
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/sidecar/bin/python install --no-deps --no-index /wheels/*.whl

FROM python:3.13.15-slim-bookworm

COPY --from=build /opt/sidecar /opt/sidecar
# Within a container loopback reaches nobody: who may connect is decided by the ports that are published. [::] is every
# address, of IPv4 too.
# OPENBLAS: NumPy would start a thread for every processor.
ENV PATH=/opt/sidecar/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    SIDECAR_HTTP_LISTEN=[::]:9850 \
    SIDECAR_WS_LISTEN=[::]:9851
# A number, so that Kubernetes can see that it is not root's. It writes no file.
USER 65532:65532
EXPOSE 9850 9851
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; host, _, port = os.environ['SIDECAR_HTTP_LISTEN'].rpartition(':'); host = 'localhost' if host in ('[::]', '0.0.0.0') else host; urllib.request.urlopen(f'http://{host}:{port}/healthz', timeout=2)"]
ENTRYPOINT ["sidecar"]
CMD ["run"]
