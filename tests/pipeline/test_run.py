"""The real thing, as a user runs it: what a run leaves in MLflow, and what a second one, a bad one and others do."""

import json
import re
from pathlib import Path

import pandas
import pytest

from pneumo.operations.prefect_api import PrefectApi
from tests.pipeline.conftest import PHANTOM, SMALL, call

pytestmark = [pytest.mark.services, pytest.mark.slow]


def newest_parent(client):
    found = client.search_runs(
        [client.get_experiment_by_name("pneumonia").experiment_id],
        "tags.stage = 'pipeline'",
        order_by=["start_time DESC"],
    )
    return found[0]


def test_the_deployment_runs_to_its_end(first_run):
    assert first_run.returncode == 0, first_run.stdout[-3000:] + first_run.stderr[-3000:]


def test_parent_and_child_runs_hold_the_story(client):
    parent = newest_parent(client)
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert {child.info.run_name for child in children} == {"MobileNet 0.25", "MobileNet 0.5", "ensemble"}
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    assert parent.inputs.dataset_inputs[0].dataset.digest
    assert "/flow-run/" in parent.data.tags["prefect.url"]
    names = {item.path for item in client.list_artifacts(children[0].info.run_id, "figures")}
    assert {"figures/roc.png", "figures/confusion.png"} <= names, names


def test_the_dossier_of_the_champion_is_filled_from_the_run_and_its_evidence_is_there(client, tmp_path):
    version = client.get_model_version_by_alias(PHANTOM, "champion")
    folder = Path(client.download_artifacts(version.run_id, "dossier", str(tmp_path)))
    for name in ("claim-2024", "tripod-ai"):
        filled = json.loads((folder / f"{name}.json").read_text())
        assert filled["synthetic"] and filled["version"] == version.version
        assert filled["pipeline_run"] == newest_parent(client).info.run_id
        for item in filled["items"]:
            for place in item["evidence"]:
                path, _, run = place.partition(" of run ")
                listed = client.list_artifacts(run or version.run_id, path.rpartition("/")[0] or None)
                assert path in {entry.path for entry in listed}, (item["number"], place)
    items = {item["number"]: item for item in json.loads((folder / "claim-2024.json").read_text())["items"]}
    assert "epochs 2" in items["25"]["answer"] and "tensorflow" in items["23"]["answer"]
    assert "other hospital" in items["33"]["answer"] and items["33"]["status"] == "answered"
    assert "The gate took out 0 files" in items["35"]["answer"]
    assert items["44"]["status"] == "open"


def test_synthetic_data_is_registered_apart_and_announced(client):
    version = client.get_model_version_by_alias(PHANTOM, "champion")
    assert "synthetic" in version.description.lower()
    assert [model.name for model in client.search_registered_models()] == [PHANTOM]
    assert newest_parent(client).data.tags["synthetic"] == "true"


def test_the_champion_scores_an_image_file(user, client, monkeypatch):
    import mlflow

    image = next(Path(user["PNEUMO_HOME"]).glob("cache/phantom/**/test/PNEUMONIA/*.jpeg"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", user["MLFLOW_TRACKING_URI"])
    mlflow.set_tracking_uri(user["MLFLOW_TRACKING_URI"])
    model = mlflow.pyfunc.load_model(f"models:/{PHANTOM}@champion")
    row = model.predict(pandas.DataFrame({"image": [image.read_bytes()]})).iloc[0]
    assert 0 <= row["probability"] <= 1
    assert row["label"] in ("NORMAL", "PNEUMONIA")


def test_the_candidate_that_is_decided_on_is_scored_elsewhere(client):
    parent = newest_parent(client)
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    (scored,) = (run for run in children if any(name.startswith("external/") for name in run.data.metrics))
    assert client.get_model_version_by_alias(PHANTOM, "champion").run_id == scored.info.run_id
    (place,) = {name.rpartition("/")[0] for name in scored.data.metrics if name.startswith("external/")}
    assert scored.data.tags[place].split()[0] in ("Generalises:", "Does")
    assert f"{place}/scored.parquet" in {item.path for item in client.list_artifacts(scored.info.run_id, place)}
    assert "External validation: " in parent.data.tags["mlflow.note.content"]
    assert place.removeprefix("external/") in client.get_model_version_by_alias(PHANTOM, "champion").description


def test_a_folder_is_scored_as_a_deployment_that_says_which_version_did_it(user, client, tmp_path):
    folder, out = next(Path(user["PNEUMO_HOME"]).glob("cache/phantom/**/test/PNEUMONIA")), tmp_path / "scores.parquet"
    values = {"paths": [str(folder)], "out": str(out), "synthetic": True}
    pairs = [part for name, value in values.items() for part in ("--param", f"{name}={json.dumps(value)}")]
    done = call(user, "prefect", "deployment", "run", "pneumonia-predict/batch", "--watch", *pairs)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert list(pandas.read_parquet(out).columns) == [
        "path",
        "sha256",
        "probability",
        "label",
        "error",
        "out_of_distribution",
    ]
    experiment = client.get_experiment_by_name("pneumonia").experiment_id
    (run,) = client.search_runs([experiment], "tags.stage = 'predict'")
    assert run.data.tags["model"] == f"models:/{PHANTOM}/1"
    assert run.data.metrics["images"] == len(list(folder.iterdir()))
    assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["predictions.csv"]


def test_a_rollback_with_nothing_to_go_back_to_fails_with_one_sentence(user, first_run):
    done = call(user, "prefect", "deployment", "run", "pneumonia/rollback", "--watch", "--param", "synthetic=true")
    assert done.returncode == 1
    (failed,) = (run for run in PrefectApi(user["PREFECT_API_URL"]).runs(["FAILED"]) if "rollback" in run["name"])
    assert "there was none: promote one" in failed["state"]["message"]


def test_a_second_run_reuses_what_has_not_changed_and_keeps_the_champion(user, client):
    before = client.get_model_version_by_alias(PHANTOM, "champion").version
    again = call(user, "pneumo", "train", "--data", "phantom:96", *options())
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    for stage in ("preprocess", "train MobileNet 0.25", "train MobileNet 0.5", "combine"):
        assert re.search(rf"{stage} +reused", again.stdout), again.stdout
    assert "Not promoted" in again.stdout
    assert client.get_model_version_by_alias(PHANTOM, "champion").version == before


def options():
    backbones = ["--backbones", ",".join(SMALL["backbones"])]
    return [*backbones, "--param", f"epochs={SMALL['epochs']}", "--param", f"image_size={SMALL['image_size']}"]


def test_the_champion_is_shown(user, first_run):
    shown = call(user, "pneumo", "champion", "--phantom", "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["registered_model"] == PHANTOM


def test_bad_data_fails_the_run_with_one_sentence_and_registers_nothing(user, client, tmp_path):
    versions = len(client.search_model_versions(f"name = '{PHANTOM}'"))
    (tmp_path / "NORMAL").mkdir()
    failed = call(user, "pneumo", "train", "--data", str(tmp_path))
    assert failed.returncode == 1
    assert str(tmp_path) in failed.stderr.replace("\n", "")
    assert newest_parent(client).info.status == "FAILED"
    assert len(client.search_model_versions(f"name = '{PHANTOM}'")) == versions


def test_a_wrong_parameter_is_refused_before_anything_runs(user):
    refused = call(user, "pneumo", "train", "--param", "image_size=7")
    assert refused.returncode == 1
    assert "image_size" in refused.stderr or "32" in refused.stderr


def test_a_second_set_of_servers_on_the_same_ports_is_refused(user, tmp_path):
    refused = call({**user, "PNEUMO_HOME": str(tmp_path)}, "pneumo", "up")
    assert refused.returncode == 1
    assert "PNEUMO_SERVICES__PREFECT_PORT" in refused.stderr
