#!/bin/sh
# Check every file of infra/ without a container engine: schemas, linters, rendered overlays. `make check` runs it.
# usage: check.sh [folder laid out as infra/ [step ...]]
set -eu
cd "$(dirname "$0")/../.."
infra=${1:-infra}
test $# -eq 0 || shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

yaml() {
    yamllint --strict mlflow.yaml flows/prefect.yaml "$infra"
}

compose() {
    check-jsonschema --builtin-schema vendor.compose-spec "$infra"/compose.yaml "$infra"/compose.gpu.yaml
    if grep -nE '(IMAGE:-|image: )[^:}]*(:latest)?}?$' "$infra"/compose*.yaml; then
        echo "Expected every image with its version, but those above have none." >&2
        return 1
    fi
}

images() {
    hadolint --failure-threshold info "$infra"/images/Dockerfile
}

scripts() {
    find "$infra" -name '*.sh' -exec shellcheck {} +
}

kubernetes() {
    if command -v kustomize >/dev/null; then
        render="kustomize build"
    elif command -v kubectl >/dev/null; then
        render="kubectl kustomize"
    else
        echo "Skipped: the overlays of infra/kubernetes need kubectl or kustomize to be rendered." >&2
        return 0
    fi
    for overlay in "$infra"/kubernetes/overlays/*; do
        $render "$overlay" >"$scratch/$(basename "$overlay").yaml"
    done
    kubernetes-validate --strict --quiet "$scratch"/*.yaml
}

test $# -gt 0 || set -- yaml compose images scripts kubernetes
for step; do
    "$step"
done
