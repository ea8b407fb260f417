"""The main job on Postgres and S3, on DICOM files that name patients; then all that it left is searched for them."""

import json
import subprocess
from pathlib import Path

import boto3
import httpx
import numpy as np
import pytest
from PIL import Image

from tests.leaks import hits

pytestmark = pytest.mark.team
MODEL = "pneumonia-classifier"
SMALL = {"backbones": ["MobileNet:0.25", "MobileNet:0.5"], "epochs": 1, "image_size": 32, "weights": "none"}
PATIENT, NAME, BIRTH = "KRNK-77", "Zwetschgenbaum^Hannelore", "19120229"


def write_dicom(path: Path, pixels: np.ndarray, number: int) -> None:
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", f"1.2.3.{number}"
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = f"{PATIENT}{number:04d}", NAME, BIRTH
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def dicom_set(tmp_path_factory):
    """A drawn set as a hospital would have it: files named by number, patients in the headers."""
    from pneumo.data.sources import phantom

    folder = tmp_path_factory.mktemp("dicom")
    drawn = sorted(phantom.draw(folder / "drawn", 96).rglob("*.jpeg"))
    for number, path in enumerate(drawn):
        pixels = np.asarray(Image.open(path).convert("L").resize((96, 96)))
        write_dicom(folder / "set" / path.parent.name / f"image{number:04d}.dcm", pixels, number)
    return folder / "set"


@pytest.fixture(scope="module")
def ran(team, dicom_set):
    pairs = [part for name, value in SMALL.items() for part in ("--param", f"{name}={json.dumps(value)}")]
    return team.call("pneumo", "train", "--data", dicom_set, *pairs, "--json")


@pytest.fixture(scope="module")
def client(team):
    names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    keys = {name: team.environment[variable] for name, variable in names.items()}
    return boto3.client("s3", endpoint_url=team.environment["AWS_ENDPOINT_URL_S3"], region_name="us-east-1", **keys)


def objects(client):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="pneumo")
    return [item["Key"] for page in pages for item in page.get("Contents", ())]


def test_it_runs_to_its_end(ran):
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert json.loads(ran.stdout)["decision"]["promoted"] is True


def test_runs_and_champion_are_in_postgres_and_nothing_in_sqlite(team, ran):
    assert {row[0] for row in team.ask("mlflow", "select status from runs")} == {"FINISHED"}
    aliases = team.ask("mlflow", "select name, alias from registered_model_aliases")
    assert (MODEL, "champion") in aliases
    asked = "select state_type::text from flow_run where not auto_scheduled"
    assert {row[0] for row in team.ask("prefect", asked)} == {"COMPLETED"}
    assert not [path for path in team.home.rglob("*.db") if "mlflow" in path.name or "prefect" in path.name]


def test_artifacts_are_on_s3_and_not_in_the_state_folder(team, ran, client):
    keys = objects(client)
    assert [key for key in keys if key.startswith("mlflow/") and key.endswith("model.keras")]
    assert not (team.home / "artifacts").exists()


def test_nobody_gets_in_without_a_login(team, ran):
    for url in (f"{team.prefect}/api/flows/filter", f"{team.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"):
        assert httpx.request("POST" if "filter" in url else "GET", url).status_code == 401
        assert httpx.request("POST" if "filter" in url else "GET", url, auth=("pneumo", "guess")).status_code == 401


def test_neither_server_answers_pages_of_other_sites(team, ran):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for url in (f"{team.prefect}/api/flows/filter", f"{team.mlflow}/api/2.0/mlflow/runs/search"):
        answer = httpx.options(url, headers=asked)
        assert answer.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")
    login = team.environment["MLFLOW_TRACKING_USERNAME"], team.environment["MLFLOW_TRACKING_PASSWORD"]
    url = f"{team.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(url, auth=login).status_code == 200
    assert httpx.get(url, auth=login, headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(("user", "other"), [("mlflow", "prefect"), ("prefect", "mlflow"), ("prefect", "postgres")])
def test_each_database_user_reaches_its_own_database_only(team, user, other):
    import psycopg

    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(team.database(user).rpartition("/")[0] + f"/{other}")
    (rights,) = team.ask(user, "select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user")
    assert rights == (False, False, False)


def test_a_wrong_key_opens_nothing_on_s3(team):
    import botocore.exceptions

    url = team.environment["AWS_ENDPOINT_URL_S3"]
    wrong = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="pneumo:pneumo", aws_secret_access_key="x"
    )
    with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch"):
        wrong.list_objects_v2(Bucket="pneumo")


def test_a_version_travels_over_s3_by_its_digest(team, ran, client, tmp_path):
    digest = json.loads(ran.stdout)["digest"]
    script = (
        "import sys; from pathlib import Path; from pneumo.data.store import packs, versions\n"
        "from pneumo.settings import load_settings\n"
        "settings = load_settings(); packs.push(versions.find_version(settings.home, sys.argv[1]), settings.data)\n"
        "print(packs.pull(sys.argv[1], Path(sys.argv[2]), settings.data).digest)"
    )
    done = team.call("python", "-c", script, digest, tmp_path)
    assert done.stdout.strip() == digest, done.stderr[-2000:]
    assert [key for key in objects(client) if key.startswith("data/shards/")]


def planted(team):
    """Everything that must not be found anywhere: secrets of the environment, and who the patients are."""
    kinds = ("PASSWORD", "SECRET", "AUTH_STRING", "PATIENT_KEY")
    values = {value for name, value in team.environment.items() if any(kind in name for kind in kinds)}
    secrets = {value.rpartition(":")[2] for value in values if len(value.rpartition(":")[2]) >= 20}
    assert len(secrets) == 8
    return [*secrets, PATIENT, "Zwetschgenbaum", "Hannelore", BIRTH]


def test_no_log_and_no_file_holds_a_secret_or_a_patient(team, ran):
    # MLflow's own login file is its owner's only, and must say where the database is.
    files = [path for path in team.home.rglob("*") if path.is_file() and path.name != "mlflow-auth.ini"]
    logs = [path for path in team.folder.glob("**/*.log") if path.is_file()]
    assert len(files) > 50
    assert hits(((str(path), path.read_bytes()) for path in {*files, *logs}), planted(team)) == []


def test_no_object_on_s3_holds_a_secret_or_a_patient(team, ran, client):
    keys = objects(client)
    assert len(keys) > 50 and [key for key in keys if key.startswith("data/shards/")]
    found = ((key, client.get_object(Bucket="pneumo", Key=key)["Body"].read()) for key in keys)
    assert hits(found, planted(team)) == []


@pytest.mark.parametrize("name", ["prefect", "mlflow"])
def test_no_database_holds_a_secret_or_a_patient(team, ran, name):
    dump = subprocess.run(["pg_dump", team.database(name)], capture_output=True, check=True).stdout
    assert len(dump) > 100_000
    assert hits([(f"database {name}", dump)], planted(team)) == []


def test_no_command_line_shows_a_secret(team, ran):
    import psutil

    lines = " ".join(word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ())
    assert not [word for word in planted(team) if word in lines]
