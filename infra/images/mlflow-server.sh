#!/bin/sh
# MLflow's server with logins. Its login app reads its database's address from a file alone, so that file is written
# here, for this user only, from the environment: MLFLOW_BACKEND_STORE_URI. Options are those of `mlflow server`.
set -eu
umask 077
export MLFLOW_AUTH_CONFIG_PATH=/tmp/mlflow-auth.ini
# configparser reads it, where a percent sign is doubled.
database=$(printf '%s' "$MLFLOW_BACKEND_STORE_URI" | sed 's/%/%%/g')
cat >"$MLFLOW_AUTH_CONFIG_PATH" <<END
[mlflow]
default_permission = READ
admin_username = admin
database_uri = $database
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
END
exec mlflow server --app-name basic-auth "$@"
