# The bank's image: locked packages with checked hashes, our wheel on top, an account without rights.
# The base is named by its digest, which whoever builds must give: `docker pull python:3.11-slim` prints it.
ARG PYTHON_DIGEST
FROM python:3.11-slim@${PYTHON_DIGEST} AS build
WORKDIR /src
RUN python -m venv /opt/biobank
COPY requirements.lock ./
RUN /opt/biobank/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md alembic.ini ./
COPY alembic alembic
COPY labels labels
COPY biobank biobank
# The lock brought the build backend, so nothing unpinned is fetched or run.
RUN /opt/biobank/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.11-slim@${PYTHON_DIGEST}
RUN useradd --system --uid 10001 --home-dir /var/lib/biobank --create-home biobank \
    && install --directory --owner biobank --group biobank --mode 0700 /var/lib/biobank/state /var/lib/biobank/secrets \
        /var/lib/biobank/log-secrets /var/lib/biobank/register /var/lib/biobank/log-public /var/lib/biobank/witness \
        /var/lib/biobank/witness-public
COPY --from=build /opt/biobank /opt/biobank
ENV PATH=/opt/biobank/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BIOBANK_STATE_DIR=/var/lib/biobank/state \
    BIOBANK_SECRETS_DIR=/var/lib/biobank/secrets \
    BIOBANK_LOG_SECRETS_DIR=/var/lib/biobank/log-secrets \
    BIOBANK_REGISTER_PATH=/var/lib/biobank/register/checkpoint \
    BIOBANK_HOST=0.0.0.0 \
    BIOBANK_PORT=8000
USER biobank
WORKDIR /var/lib/biobank
EXPOSE 8000
ENTRYPOINT ["biobank"]
CMD ["serve"]
