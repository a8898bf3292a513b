#!/bin/sh
# Create the bank's login roles and restrict who may connect, on a PostgreSQL server of your own. Idempotent.
#
# Run as the owner (a role that may create roles), connected by the usual PG* variables:
#   PGDATABASE            the database of the bank, or the store of donor keys
#   BIOBANK_APP_PASSWORD, BIOBANK_SEALER_PASSWORD, BIOBANK_AUDITOR_PASSWORD
#                         a role is created and may connect if its password is given; the key store needs only the app's
# Inside the official image it runs by itself as an initialisation script, which sets POSTGRES_USER and POSTGRES_DB.
#
# Migrations grant to the groups biobank_app, biobank_sealer and biobank_auditor; each login is a member of its group.
set -eu
export PGUSER="${PGUSER:-${POSTGRES_USER:-}}" PGDATABASE="${PGDATABASE:-${POSTGRES_DB:-biobank}}"

connect() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }

connect --set database="$PGDATABASE" <<'SQL'
REVOKE CONNECT ON DATABASE :"database" FROM PUBLIC;
SQL

for role in app sealer auditor; do
    variable="BIOBANK_$(echo "$role" | tr '[:lower:]' '[:upper:]')_PASSWORD"
    eval "[ -n \"\${$variable:-}\" ]" || continue
    # psql reads the password from the environment: a command line could be read by every process.
    connect --set database="$PGDATABASE" --set group="biobank_$role" --set login="biobank_${role}_login" \
        --set variable="$variable" <<'SQL'
SET password_encryption = 'scram-sha-256';
\getenv password :variable
SELECT format('CREATE ROLE %I NOLOGIN', :'group')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'group') \gexec
SELECT format('CREATE ROLE %I LOGIN', :'login')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'login') \gexec
ALTER ROLE :"login" PASSWORD :'password';
GRANT :"group" TO :"login";
-- The login, not the group: a server may keep several banks, whose logins share the groups.
GRANT CONNECT ON DATABASE :"database" TO :"login";
SQL
done
