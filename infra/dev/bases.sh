#!/bin/sh
# Base images for trials where no registry can be reached, under the names that the Dockerfile and compose.yaml ask for:
# Debian's Python, and Debian's Postgres, Swift and nginx in the places of the official Postgres, SeaweedFS and nginx
# (tests/containers/stand_ins). Needs root, debootstrap and podman; takes some minutes.
# usage: bases.sh FOLDER      ENGINE (default: podman) is the engine with its options; FOLDER is removed at the end
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
engine=${ENGINE:-podman}
mkdir -p "$folder"
trap 'rm -rf "$folder"' EXIT
version=$(sed -n 's/^ARG PYTHON_IMAGE=python://p' "$here/../images/Dockerfile")

debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$folder/python"
ln -s python3 "$folder/python/usr/bin/python"
# shellcheck disable=SC2086 # the engine comes with its options
tar -C "$folder/python" -c . | $engine import - "python:$version"

# Nothing that these packages bring shall run by itself.
printf '#!/bin/sh\nexit 101\n' >"$folder/python/usr/sbin/policy-rc.d"
chmod +x "$folder/python/usr/sbin/policy-rc.d"
DEBIAN_FRONTEND=noninteractive chroot "$folder/python" apt-get install --quiet=2 --yes --no-install-recommends \
    postgresql swift-account swift-container swift-object swift-proxy memcached nginx-light wget curl
# shellcheck disable=SC2086
tar -C "$folder/python" -c . | $engine import - localhost/pneumo-stores:bookworm

mkdir "$folder/stand_ins"
cp "$here"/../../tests/containers/stand_ins/* "$here/s3.sh" "$folder/stand_ins"
for service in postgres:postgres storage:seaweedfs proxy:nginx; do
    image=$(sed -n "s#.*_IMAGE:-\(.*${service#*:}.*\)}.*#\1#p" "$here/../compose.yaml" | head -n 1)
    # shellcheck disable=SC2086
    $engine build --quiet --target "${service%:*}" --tag "$image" "$folder/stand_ins"
done
