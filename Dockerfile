FROM python:3.13.1-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY policies policies
COPY proxy proxy
RUN python -m venv /opt/jira-cache && /opt/jira-cache/bin/pip install --no-cache-dir .

FROM python:3.13.1-slim-bookworm
LABEL org.opencontainers.image.title="jira-cache" \
      org.opencontainers.image.description="A read-through caching reverse proxy for Jira's REST API" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/var/lib \
    PATH=/opt/jira-cache/bin:$PATH
RUN useradd --system --uid 10001 --no-create-home jira-cache \
    && install --directory --owner=jira-cache --mode=0700 /var/lib/jira-cache
COPY --from=build /opt/jira-cache /opt/jira-cache
COPY config.yaml /etc/jira-cache/config.yaml
USER 10001
WORKDIR /etc/jira-cache
EXPOSE 8080 8081
# Runs with --read-only and a writable /tmp; then set JIRA_CACHE_SECRET, or mount a volume at /var/lib/jira-cache.
# http.client, because urllib would ask $HTTP_PROXY for the loopback address.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["/opt/jira-cache/bin/python", "-c", "import http.client, sys; asked = http.client.HTTPConnection('127.0.0.1', 8080, timeout=2); asked.request('GET', '/-/live'); sys.exit(asked.getresponse().status != 200)"]
ENTRYPOINT ["/opt/jira-cache/bin/jira-cache"]
CMD ["serve"]
