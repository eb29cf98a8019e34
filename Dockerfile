# syntax=docker/dockerfile:1
# The image of every Postlane process: `docker run postlane:0.1.0 worker transactional`, and so on.
# Servers are not in it; it needs POSTLANE_DATABASE_URL, POSTLANE_REDIS_URL and POSTLANE_SECRET.

FROM python:3.13-slim AS build
# What to install, with a hash for every file; without the embedded servers of a trial.
ARG LOCK=requirements/server.lock
COPY ${LOCK} /build/requirements.lock
# Wheels only: nothing is compiled, so there is no compiler in this stage either.
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: \
      --require-hashes --requirement /build/requirements.lock \
 && /opt/venv/bin/pip uninstall --yes --quiet pip
# The checkout is used in place, as on a developer's machine: no build backend, no second copy.
COPY pyproject.toml LICENSE /opt/postlane/
COPY accounts /opt/postlane/accounts
COPY alarms /opt/postlane/alarms
COPY api /opt/postlane/api
COPY audience /opt/postlane/audience
COPY backups /opt/postlane/backups
COPY campaigns /opt/postlane/campaigns
COPY cli /opt/postlane/cli
COPY console /opt/postlane/console
COPY core /opt/postlane/core
COPY flags /opt/postlane/flags
COPY messages /opt/postlane/messages
COPY mta /opt/postlane/mta
COPY outcomes /opt/postlane/outcomes
COPY pages /opt/postlane/pages
COPY pools /opt/postlane/pools
COPY requestlog /opt/postlane/requestlog
COPY sandbox /opt/postlane/sandbox
COPY simulator /opt/postlane/simulator
COPY store /opt/postlane/store
COPY suppression /opt/postlane/suppression
COPY templates /opt/postlane/templates
COPY warmup /opt/postlane/warmup
COPY web /opt/postlane/web
COPY webhooks /opt/postlane/webhooks
COPY workers /opt/postlane/workers
# Bytecode now: the container's file system is read-only.
RUN printf '#!/bin/sh\nexec /opt/venv/bin/python -m cli "$@"\n' > /opt/venv/bin/postlane \
 && chmod 755 /opt/venv/bin/postlane \
 && /opt/venv/bin/python -m compileall -q -j 0 /opt/postlane /opt/venv/lib

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Postlane" \
      org.opencontainers.image.description="Transactional and marketing email from your own IP addresses" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
 && groupadd --gid 10001 postlane \
 && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin postlane \
 && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/postlane /opt/postlane
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/postlane \
    PYTHONUNBUFFERED=1 \
    POSTLANE_DATA_DIR=/data
# By number, so that an orchestrator can check that it is not root.
USER 10001:10001
WORKDIR /data
EXPOSE 8025 8026 8027 2525 2465 2587
# The port of this process: POSTLANE_METRICS_PORT where it is set, else the API's.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 CMD ["python", "-c", "import os, urllib.request as u; e = os.environ.get; u.urlopen(f\"http://127.0.0.1:{e('POSTLANE_METRICS_PORT') or e('POSTLANE_API_PORT', '8025')}/healthz\", timeout=3)"]
ENTRYPOINT ["postlane"]
CMD ["api"]
