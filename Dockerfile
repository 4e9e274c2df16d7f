# syntax=docker/dockerfile:1
# Two stages: the first has pip, the second only what runs. Build: docker build -t grayhound .
# For --tracing otlp: docker build --build-arg EXTRAS=otel -t grayhound .
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY proxy ./proxy
ARG EXTRAS=
RUN python -m venv /opt/grayhound \
    && /opt/grayhound/bin/pip install --no-cache-dir --no-compile ".${EXTRAS:+[$EXTRAS]}" \
    && /opt/grayhound/bin/python -m compileall -q /opt/grayhound/lib

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Grayhound" \
      org.opencontainers.image.description="A reverse proxy for gray releases, blue/green deployments and A/B tests" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin grayhound
COPY --from=build /opt/grayhound /opt/grayhound
COPY config/rules.yaml /etc/grayhound/rules.yaml
ENV PATH=/opt/grayhound/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GRAYHOUND_ADMIN=0.0.0.0:9900
USER 10001
EXPOSE 8080 9900
# TERM drains; the orchestrator must wait longer than --drain-timeout before it kills.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=2s --start-period=5s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9900/readyz', timeout=2)"]
ENTRYPOINT ["grayhound", "serve"]
CMD ["/etc/grayhound/rules.yaml"]
