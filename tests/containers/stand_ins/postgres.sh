#!/bin/sh
# As the official image: a first start makes the database and runs /docker-entrypoint-initdb.d/*.sh.
set -eu
if ! test -s "$PGDATA/PG_VERSION"; then
    umask 077
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    # shellcheck disable=SC2086 # several options
    initdb --pgdata "$PGDATA" --username postgres --pwfile /tmp/password ${POSTGRES_INITDB_ARGS:-}
    rm /tmp/password
    printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    trap 'rm -f "$PGDATA/PG_VERSION"' EXIT
    pg_ctl --pgdata "$PGDATA" --wait start --options "-c listen_addresses=''"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        PGPASSWORD=$POSTGRES_PASSWORD "$script"
    done
    pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
    trap - EXIT
fi
exec postgres -D "$PGDATA" -c listen_addresses='*'
