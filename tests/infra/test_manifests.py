"""What the schemas of Kubernetes do not say: no privilege, requests and limits, secrets by name only, doors shut."""

import asyncio
import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

INFRA = Path(__file__).parents[2] / "infra"
KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(not KUBECTL, reason="kubectl is not installed")


def rendered(overlay):
    command = [KUBECTL, "kustomize", INFRA / "kubernetes/overlays" / overlay]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [item for item in yaml.safe_load_all(text) if item]


def filled(template, values):
    """A job template as Prefect fills it: "{{ name }}" by its value, which may be no text at all."""
    defaults = {name: row.get("default") for name, row in template["variables"]["properties"].items()}
    known = {"command": ["prefect", "flow-run", "execute"], "env": [], "labels": {}, "name": "run"}

    def fill(node):
        if isinstance(node, dict):
            return {key: fill(value) for key, value in node.items()}
        if isinstance(node, list):
            return [fill(value) for value in node]
        if isinstance(node, str) and (whole := re.fullmatch(r"\{\{ (\w+) \}\}", node)):
            return {**defaults, **known, **values}[whole[1]]
        return node.replace("{{ name }}", "run") if isinstance(node, str) else node

    return fill(copy.deepcopy(template["job_configuration"]["job_manifest"]))


def of_kind(items, kind):
    return {item["metadata"]["name"]: item for item in items if item["kind"] == kind}


def job(items, variables=None):
    maps = {re.sub(r"-[a-z0-9]{10}$", "", name): item["data"] for name, item in of_kind(items, "ConfigMap").items()}
    template = json.loads(maps["pneumo-job-template"]["job-template.json"])
    return filled(template, json.loads(maps["pneumo-job"]["PNEUMO_POOL__VARIABLES"]) | (variables or {}))


@pytest.fixture(scope="module", params=["cpu", "gpu", "ingress"])
def overlay(request):
    return rendered(request.param)


@needs_kubectl
def test_no_pod_has_a_privilege_and_each_says_what_it_needs(overlay):
    pods = [item["spec"]["template"]["spec"] for item in [*of_kind(overlay, "Deployment").values(), job(overlay)]]
    assert len(pods) == 5
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all("hostPath" not in volume for volume in pod["volumes"])
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
            assert ":" in container["image"]


@needs_kubectl
def test_only_the_worker_has_a_token_and_it_may_only_start_jobs(overlay):
    pods = {name: item["spec"]["template"]["spec"] for name, item in of_kind(overlay, "Deployment").items()}
    assert [name for name, pod in pods.items() if pod.get("automountServiceAccountToken", True)] == ["worker"]
    (role,) = of_kind(overlay, "Role").values()
    assert not of_kind(overlay, "ClusterRole")
    writable = {name for rule in role["rules"] for name in rule["resources"] if "create" in rule["verbs"]}
    assert writable == {"jobs"}


@needs_kubectl
def test_no_secret_stands_in_a_manifest(overlay):
    assert not of_kind(overlay, "Secret")
    for deployment in of_kind(overlay, "Deployment").values():
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            for variable in container.get("env", []):
                if variable["name"].startswith("PREFECT_INTEGRATIONS_KUBERNETES_"):
                    continue  # how jobs are made: by which name they find the secret
                secret = re.search("PASSWORD|SECRET|AUTH_STRING|DATABASE|BACKEND_STORE|ACCESS_KEY", variable["name"])
                assert bool(secret) == ("valueFrom" in variable), variable["name"]


LOGIN = "prefect:nobody-may-read-this"


def created(overlay, monkeypatch):
    """The job that Prefect's own worker, with its container's environment, asks the cluster for."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.settings import PREFECT_API_AUTH_STRING, temporary_settings
    from prefect_kubernetes import worker

    (container,) = of_kind(overlay, "Deployment")["worker"]["spec"]["template"]["spec"]["containers"]
    for item in container["env"]:
        monkeypatch.setenv(item["name"], item["value"])
    asked = []

    class Cluster:
        def __init__(self, client):
            pass

        async def create_namespaced_job(self, namespace, manifest):
            asked.append((namespace, manifest))

    monkeypatch.setattr(worker, "BatchV1Api", Cluster)
    template = json.loads((INFRA / "kubernetes/base/job-template.json").read_text())

    async def ask():
        job = await worker.KubernetesWorkerJobConfiguration.from_template_and_values(template, {})
        job.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="run"))
        await worker.KubernetesWorker(work_pool_name="pneumo")._create_job(job, client=None)

    with temporary_settings({PREFECT_API_AUTH_STRING: LOGIN}):
        asyncio.run(ask())
    return asked[0]


@needs_kubectl
def test_prefect_takes_the_job_template_and_no_job_shows_its_login(overlay, monkeypatch):
    namespace, manifest = created(overlay, monkeypatch)
    assert namespace == "pneumo"
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    given = {item["name"]: item for item in container["env"]}
    assert LOGIN not in json.dumps(manifest)
    assert given["PREFECT_API_AUTH_STRING"]["valueFrom"] == {
        "secretKeyRef": {"name": "pneumo-run", "key": "PREFECT_API_AUTH_STRING"}
    }


@needs_kubectl
def test_everything_is_shut_before_anything_is_opened(overlay):
    policies = of_kind(overlay, "NetworkPolicy")
    assert policies["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = {item["spec"]["template"]["metadata"]["labels"]["app"] for item in of_kind(overlay, "Deployment").values()}
    assert job(overlay)["spec"]["template"]["metadata"]["labels"]["app"] == "run"
    assert labels == {"prefect", "mlflow", "worker", "serve"}


@needs_kubectl
def test_the_service_reaches_mlflow_and_names_alone_and_knows_only_its_own_secret(overlay):
    policies = of_kind(overlay, "NetworkPolicy")
    doors = [name for name, policy in policies.items() if chosen(policy, "serve") and policy["spec"].get("egress")]
    assert sorted(doors) == ["names", "serve"]
    assert ports(policies["names"]) == {53}
    assert policies["serve"]["spec"]["egress"][0]["to"] == [{"podSelector": {"matchLabels": {"app": "mlflow"}}}]
    assert chosen(policies["outside"], "worker") and chosen(policies["outside"], "run")
    (container,) = of_kind(overlay, "Deployment")["serve"]["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "pneumo-serve"}}]
    assert not [variable for variable in container["env"] if "valueFrom" in variable]


@needs_kubectl
def test_without_a_champion_the_service_is_not_asked_and_not_started_again(overlay):
    (container,) = of_kind(overlay, "Deployment")["serve"]["spec"]["template"]["spec"]["containers"]
    assert "--wait" in container["command"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/live", "liveness": "/live", "readiness": "/ready",
    }  # fmt: skip
    names = json.loads(next(item["value"] for item in container["env"] if item["name"] == "PNEUMO_SERVE__NAMES"))
    assert {probe["httpHeaders"][0]["value"] for probe in probes.values()} <= set(names)  # others are refused


def chosen(policy, app):
    """Whether a policy is about the pods of an app."""
    selector = policy["spec"]["podSelector"]
    fits = {
        "In": lambda row: row["key"] == "app" and app in row["values"],
        "NotIn": lambda row: row["key"] != "app" or app not in row["values"],
    }
    rows = all(fits[row["operator"]](row) for row in selector.get("matchExpressions", []))
    return rows and selector.get("matchLabels", {}).items() <= {("app", app)}


def ports(policy):
    return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}


@needs_kubectl
def test_checkpoints_outlive_the_pod_that_wrote_them(overlay):
    volumes = {item["name"]: item for item in job(overlay)["spec"]["template"]["spec"]["volumes"]}
    claim = volumes["data"]["persistentVolumeClaim"]["claimName"]
    assert of_kind(overlay, "PersistentVolumeClaim")[claim]["spec"]["accessModes"] == ["ReadWriteMany"]


@needs_kubectl
def test_the_worker_watches_the_namespace_that_its_role_is_for(overlay):
    (container,) = of_kind(overlay, "Deployment")["worker"]["spec"]["template"]["spec"]["containers"]
    given = {item["name"]: item["value"] for item in container["env"]}
    (role,) = of_kind(overlay, "Role").values()
    assert given["PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES"] == role["metadata"]["namespace"]
    from prefect_kubernetes.settings import KubernetesObserverSettings  # the variable is one that it reads

    assert KubernetesObserverSettings.model_config["env_prefix"] + "NAMESPACES" in given


@needs_kubectl
def test_flows_that_train_nothing_ask_for_little_also_where_trainings_have_a_gpu():
    file = INFRA.parent / "flows" / "prefect.yaml"
    listed = {item["name"]: item for item in yaml.safe_load(file.read_text())["deployments"]}
    asked = {name: item["work_pool"].get("job_variables", {}) for name, item in listed.items()}
    assert {name for name, values in asked.items() if values} == {"rollback", "watch", "maintain"}
    items = rendered("gpu")
    maps = {re.sub(r"-[a-z0-9]{10}$", "", name): item["data"] for name, item in of_kind(items, "ConfigMap").items()}
    template = json.loads(maps["pneumo-job-template"]["job-template.json"])
    assert set(asked["watch"]) <= template["variables"]["properties"].keys()
    limits = job(items, asked["watch"])["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"memory": "4Gi", "nvidia.com/gpu": "0"}


@needs_kubectl
def test_the_gpu_overlay_asks_for_a_gpu_and_the_cpu_overlay_does_not():
    limits = {
        name: job(rendered(name))["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
        for name in ("cpu", "gpu")
    }
    assert limits == {"cpu": "0", "gpu": "1"}
    assert job(rendered("gpu"))["spec"]["template"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"


@needs_kubectl
def test_the_job_of_a_flow_run_is_a_kubernetes_job(overlay, tmp_path):
    manifest = job(overlay)
    manifest["metadata"]["name"] = "run"
    for name in ("parallelism", "completions"):  # Prefect refuses a template without; they are a job's, not a pod's
        assert manifest["spec"]["template"]["spec"].pop(name) == 1
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(manifest))
    program = Path(sys.executable).with_name("kubernetes-validate")
    done = subprocess.run([program, "--strict", tmp_path / "job.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
