#!/bin/sh
# Debian packages that tests use where they are there: a browser, nginx, kubectl, a DICOMweb archive, and for the trial of
# the team server (infra/dev/team.sh) Postgres and an S3 server.
# Run as root. What is there already is left alone, and nothing is started.
set -eu

missing=""
need() { # program, packages
    command -v "$1" >/dev/null || missing="$missing $2"
}
test -n "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" || missing="$missing postgresql"
need swift-proxy-server "swift-account swift-container swift-object swift-proxy"
need memcached memcached
need nginx nginx-light
need Orthanc "orthanc orthanc-dicomweb"
need storescu dcmtk
need chromium chromium
need openssl openssl
need kubectl kubernetes-client

test -n "$missing" || exit 0
export DEBIAN_FRONTEND=noninteractive
# Nothing that these packages bring shall run by itself.
if ! test -e /usr/sbin/policy-rc.d; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get update --quiet=2
# shellcheck disable=SC2086 # a list of names
apt-get install --quiet=2 --yes --no-install-recommends $missing
