#!/bin/sh
# The stores of the team server on this machine, without containers: Postgres and an S3 server on loopback, with fresh
# secrets, for trials and tests. infra/dev/packages.sh installs what this needs. Afterwards:
#   set -a && . FOLDER/team.env && set +a && pneumo up && pneumo train
# usage: team.sh up|down FOLDER     FIRST_PORT (default 18300): that one and the seven after it are taken
set -eu
here=$(cd "$(dirname "$0")" && pwd)
action=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
postgres_bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
port=${FIRST_PORT:-18300}

as_postgres() { # Postgres refuses to run as root
    if test "$(id -u)" = 0; then runuser -u postgres -- "$@"; else "$@"; fi
}

secret() {
    openssl rand -hex 24
}

settings() {
    prefect_database=$(secret)
    mlflow_database=$(secret)
    login=$(secret)
    mlflow_administrator=$(secret)
    mlflow_worker=$(secret)
    umask 077
    cat >"$folder/team.env" <<END
PREFECT_DATABASE_PASSWORD=$prefect_database
MLFLOW_DATABASE_PASSWORD=$mlflow_database
PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://prefect:$prefect_database@127.0.0.1:$port/prefect
PREFECT_SERVER_API_AUTH_STRING=pneumo:$login
PREFECT_API_AUTH_STRING=pneumo:$login
PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK=s3-bucket/pneumo
MLFLOW_BACKEND_STORE_URI=postgresql+psycopg://mlflow:$mlflow_database@127.0.0.1:$port/mlflow
MLFLOW_ARTIFACTS_DESTINATION=s3://pneumo/mlflow
MLFLOW_AUTH_ADMIN_USERNAME=pneumo
MLFLOW_AUTH_ADMIN_PASSWORD=$mlflow_administrator
MLFLOW_TRACKING_USERNAME=worker
MLFLOW_TRACKING_PASSWORD=$mlflow_worker
MLFLOW_FLASK_SERVER_SECRET_KEY=$(secret)
AWS_ENDPOINT_URL_S3=http://127.0.0.1:$((port + 1))
AWS_DEFAULT_REGION=us-east-1
AWS_REQUEST_CHECKSUM_CALCULATION=when_required
AWS_RESPONSE_CHECKSUM_VALIDATION=when_required
AWS_ACCESS_KEY_ID=pneumo:pneumo
AWS_SECRET_ACCESS_KEY=$(secret)
PNEUMO_DATA__STORAGE=s3://pneumo/data
PNEUMO_PATIENT_KEY=$(secret)
PNEUMO_HOME=$folder/home
PNEUMO_SERVICES__PREFECT_PORT=$((port + 6))
PNEUMO_SERVICES__MLFLOW_PORT=$((port + 7))
END
}

databases() {
    mkdir -p "$folder/postgres"
    chmod 711 "$folder"
    administrator=$(secret)
    printf '%s' "$administrator" >"$folder/postgres/password"
    test "$(id -u)" != 0 || chown -R postgres "$folder/postgres"
    as_postgres "$postgres_bin/initdb" --pgdata "$folder/postgres/data" --username postgres --auth scram-sha-256 \
        --pwfile "$folder/postgres/password" >"$folder/postgres.log"
    start_postgres
    PGHOST=127.0.0.1 PGPORT=$port PGPASSWORD=$administrator "$here/../postgres/create.sh"
}

start_postgres() {
    as_postgres "$postgres_bin/pg_ctl" --pgdata "$folder/postgres/data" --log "$folder/postgres/data/log" --wait start \
        --options "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$folder/postgres" >/dev/null
}

start_storage() {
    S3_PORT=$((port + 1)) setsid "$here/s3.sh" "$folder/s3" >"$folder/s3.log" 2>&1 &
    echo $! >"$folder/s3.pid"
    tries=0
    until curl --silent --fail --output /dev/null "$AWS_ENDPOINT_URL_S3/healthcheck"; do
        tries=$((tries + 1))
        test $tries -lt 120 || { echo "Expected an S3 server, but none answers: see $folder/s3/log." >&2; exit 1; }
        sleep 0.5
    done
}

case $action in
up)
    test -e "$folder/team.env" || settings
    set -a
    # shellcheck disable=SC1091 # written above
    . "$folder/team.env"
    set +a
    if test -d "$folder/postgres/data"; then start_postgres; else databases; fi
    start_storage
    echo "Postgres and S3 answer on 127.0.0.1; the settings are in $folder/team.env"
    ;;
down)
    pid=$(cat "$folder/s3.pid" 2>/dev/null || true)
    # After a power cut the file is still there, and the number may be another process's.
    case $(ps -o args= -p "${pid:-0}" 2>/dev/null || true) in *"s3.sh $folder/s3"*) kill "$pid" ;; esac
    rm -f "$folder/s3.pid"
    as_postgres "$postgres_bin/pg_ctl" --pgdata "$folder/postgres/data" --mode fast stop >/dev/null || true
    ;;
*)
    sed -n '2,6p' "$0" >&2
    exit 2
    ;;
esac
