#!/bin/sh
# Two databases, each with a user that owns it and can reach nothing else. Run as the server's administrator with
# PREFECT_DATABASE_PASSWORD and MLFLOW_DATABASE_PASSWORD set (letters and digits); the container runs it once, at its
# first start. psql's own variables (PGHOST, PGPORT, PGUSER) say where.
set -eu

create() { # name, password; the password travels by standard input, since a command line is public
    printf '%s\n' \
        "CREATE ROLE $1 LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD '$2';" \
        "CREATE DATABASE $1 OWNER $1 ENCODING 'UTF8' TEMPLATE template0;" \
        "REVOKE ALL ON DATABASE $1 FROM PUBLIC;" \
        '\connect '"$1" \
        'REVOKE ALL ON SCHEMA public FROM PUBLIC;' \
        "GRANT ALL ON SCHEMA public TO $1;" \
        | psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres
}

create prefect "$PREFECT_DATABASE_PASSWORD"
create mlflow "$MLFLOW_DATABASE_PASSWORD"
# Prefect's migrations make this extension; only the administrator may.
printf 'CREATE EXTENSION IF NOT EXISTS pg_trgm;\n' \
    | psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname prefect
printf 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;\n' \
    | psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres
