# syntax=docker/dockerfile:1
# Two stages: the first has pip and a C compiler, the second only what runs. Build: docker build -t grayhound .
# For --tracing otlp: docker build --build-arg EXTRAS=otel -t grayhound .
ARG PYTHON=3.13-slim-bookworm
FROM python:${PYTHON} AS build
WORKDIR /src
# The data plane is compiled, see setup.py.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && python -m pip install --no-cache-dir "mypy[mypyc]>=2.4,<3" "setuptools>=68"
COPY pyproject.toml setup.py README.md LICENSE ./
COPY proxy ./proxy
ENV COMPILE_GRAYHOUND=1
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .
ARG EXTRAS=
RUN python -m venv --without-pip /opt/grayhound \
    && python -m pip --python /opt/grayhound/bin/python install --no-cache-dir --no-compile \
       "grayhound${EXTRAS:+[$EXTRAS]} @ file://$(ls /wheels/*.whl)" \
    && /opt/grayhound/bin/python -m compileall -q /opt/grayhound/lib

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Grayhound" \
      org.opencontainers.image.description="A reverse proxy for gray releases, blue/green deployments and A/B tests" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.source="https://github.com/grayhound-proxy/grayhound" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin grayhound
COPY --from=build /opt/grayhound /opt/grayhound
COPY config/rules.yaml /etc/grayhound/rules.yaml
# The base image comes without the compiled files of Python's own library, and nobody may write them later: each process
# would compile what it imports.
RUN /opt/grayhound/bin/python -c "import urllib.request, proxy.cli, proxy.run.serve, proxy.run.control, \
    proxy.run.worker, proxy.run.rollouts, proxy.admin.app, proxy.upstream.checker"
ENV PATH=/opt/grayhound/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GRAYHOUND_ADMIN=0.0.0.0:9900
USER 10001
EXPOSE 8080 9900
# TERM drains; the orchestrator must wait longer than --drain-timeout before it kills.
STOPSIGNAL SIGTERM
# Each costs a tenth of a second of CPU, the start of a Python.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9900/readyz', timeout=4)"]
ENTRYPOINT ["grayhound", "serve"]
CMD ["/etc/grayhound/rules.yaml"]
