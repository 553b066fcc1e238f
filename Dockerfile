# The gateway and every sinergi command, in one image.
#
#   docker build -t sinergi .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges sinergi --help
#
# Each archive is checked against the hashes in locks/. Where archives come from is pip's configuration: nothing here says.
ARG PYTHON_IMAGE=python:3.13-slim

# 1. The wheel of this checkout, built with the pinned backend, as `make wheel` does.
FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /src
COPY locks/dev.txt locks/dev.txt
RUN python -m pip install --quiet --no-cache-dir --require-hashes --only-binary :all: -r locks/dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY schemas schemas
COPY agreements agreements
RUN python -m pip wheel --quiet --no-deps --no-build-isolation --no-index -w /wheels .

# 2. A virtual environment with what the gateway needs at run time, and nothing else.
FROM ${PYTHON_IMAGE} AS runtime
COPY locks/runtime.txt /tmp/runtime.txt
RUN python -m venv /opt/sinergi \
    && /opt/sinergi/bin/python -m pip install --quiet --no-cache-dir --require-hashes --only-binary :all: -r /tmp/runtime.txt
COPY --from=wheel /wheels /wheels
RUN /opt/sinergi/bin/python -m pip install --quiet --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && /opt/sinergi/bin/python -m compileall -q /opt/sinergi/lib \
    && /opt/sinergi/bin/python -m pip uninstall --quiet --yes pip

# 3. What is shipped: no compiler, no pip, no root.
FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 sinergi \
    && useradd --system --uid 10001 --gid sinergi --no-create-home --home-dir /var/lib/sinergi --shell /usr/sbin/nologin sinergi \
    # Sticky and open, like /tmp: a new volume takes this mode, so the container may run as whichever user owns its secrets.
    && install --directory --mode 1777 /var/lib/sinergi /var/lib/sinergi-node /var/lib/agency \
        /var/lib/agency/imigrasi-banten /var/lib/agency/polda-banten
COPY --from=runtime /opt/sinergi /opt/sinergi
ENV PATH=/opt/sinergi/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/sinergi
EXPOSE 8080
# SIGTERM ends running requests, pages and commits; see docs/howto/run-in-production.md.
STOPSIGNAL SIGTERM
ENTRYPOINT ["sinergi"]
CMD ["--help"]
