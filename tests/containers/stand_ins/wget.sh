#!/bin/sh
# Swift says how it is at another path than SeaweedFS.
set -eu
for word; do
    shift
    set -- "$@" "$(printf '%s' "$word" | sed 's#/status$#/healthcheck#')"
done
exec /usr/bin/wget "$@"
