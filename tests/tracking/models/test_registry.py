import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pneumo.errors import TrackingError
from pneumo.records.data import DatasetVersion
from pneumo.tracking import Tracker


def example() -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), 128).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def model_uri(tracker: Tracker, bundle: Path, model_file: Path) -> str:
    run_id = tracker.runs.start("model")
    return tracker.bundles.log(run_id, bundle, "Mobile/Net:0.35", example(), model_file=model_file)


def test_a_logged_bundle_is_ready_and_has_no_pickle(tracker: Tracker, model_uri: str) -> None:
    logged = tracker.client.get_logged_model(model_uri.removeprefix("models:/"))
    assert str(logged.status) == "READY"
    assert logged.name == "Mobile-Net-0-35"
    with tracker.files.downloaded(model_uri) as folder:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert not [path for path in files if path.suffix in {".pkl", ".pyc"}]
        assert (folder / "code" / "pneumo" / "errors.py").is_file()
        assert "tensorflow" in (folder / "requirements.txt").read_text()


def test_a_registered_model_answers_from_bytes_and_takes_a_threshold(tracker: Tracker, model_uri: str) -> None:
    version = tracker.registry.register(model_uri, "answering")
    model = tracker.files.load_pyfunc(f"models:/answering/{version}")
    frame = pd.DataFrame({"image": [b"one", b"two"]})
    assert model.predict(frame)["probability"].tolist() == [0.7, 0.7]
    assert model.predict(frame)["label"].tolist() == ["PNEUMONIA"] * 2
    assert model.predict(frame, params={"threshold": 0.9})["label"].tolist() == ["NORMAL"] * 2


def test_models_are_ranked_by_what_they_do_on_the_test_images(
    tracker: Tracker, bundle: Path, model_file: Path, tmp_path: Path
) -> None:
    pd.DataFrame({"path": ["a.png"]}).to_parquet(tmp_path / "manifest.parquet")
    version = DatasetVersion(
        digest="e" * 64, source="ranked", synthetic=True, root=tmp_path, manifest=tmp_path / "manifest.parquet",
        images=1, counts={},
    )  # fmt: skip
    parent, uris = tracker.runs.start("parent"), []
    for auc in (0.8, 0.9):
        run_id = tracker.runs.start("child", parent=parent)
        tracker.log.dataset(run_id, version)
        uris.append(tracker.bundles.log(run_id, bundle, f"model {auc}", example(), model_file=model_file))
        tracker.log.model_metrics(run_id, uris[-1], {"test_auc": auc, "minutes": 2}, version)
        assert tracker.client.get_run(run_id).data.metrics == {"test_auc": auc, "minutes": 2}
    tracker.log.models(parent, uris)
    ranked = tracker.client.search_logged_models(
        [tracker.runs.experiment_id],
        order_by=[{"field_name": "metrics.test_auc", "ascending": False, "dataset_name": "ranked test"}],
    )
    assert [f"models:/{model.model_id}" for model in ranked[:2]] == uris[::-1]
    assert {f"models:/{item.model_id}" for item in tracker.client.get_run(parent).outputs.model_outputs} == set(uris)


def test_a_bundle_that_cannot_be_logged_leaves_a_failed_model(tracker: Tracker, bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise ValueError('broken on purpose')")
    run_id = tracker.runs.start("broken")
    with pytest.raises(TrackingError, match=r"refused Bundles\.log"):
        tracker.bundles.log(run_id, bundle, "broken", example(), model_file=broken)
    found = tracker.client.search_logged_models([tracker.runs.experiment_id])
    assert [str(item.status) for item in found if item.name == "broken"] == ["FAILED"]


def test_versions_carry_tags_run_and_description(tracker: Tracker, model_uri: str) -> None:
    version = tracker.registry.register(model_uri, "described", "what it is for", {"auc": "0.9"})
    tracker.registry.set_version_tags("described", version, {"synthetic": "true"})
    found = tracker.registry.version("described", version)
    assert found is not None
    assert {"auc": "0.9", "synthetic": "true"}.items() <= found.tags.items()
    assert found.description == "what it is for"
    assert found.run_id
    assert tracker.registry.version("described", "99") is None
    assert tracker.registry.version("never registered", "1") is None


def test_an_alias_moves_and_is_absent_without_a_model(tracker: Tracker, model_uri: str) -> None:
    first, second = (tracker.registry.register(model_uri, "aliased") for _ in range(2))
    assert tracker.registry.alias("aliased", "champion") is None
    tracker.registry.set_alias("aliased", "champion", first)
    tracker.registry.set_alias("aliased", "champion", second)
    assert tracker.registry.alias("aliased", "champion") == second
    tracker.registry.delete_version("aliased", second)
    assert tracker.registry.alias("aliased", "champion") is None
    assert tracker.registry.register(model_uri, "aliased") == "3"
    assert [item.version for item in tracker.registry.versions("aliased")] == ["1", "3"]
    assert tracker.registry.alias("never registered", "champion") is None


def test_the_registered_model_itself_has_tags(tracker: Tracker) -> None:
    tracker.registry.set_model_tag("tagged", "history", "x" * 5000)
    assert tracker.registry.registered("tagged").tags == {"history": "x" * 5000}
    assert tracker.registry.registered("never registered").tags == {}


def test_what_mlflow_refuses_is_one_sentence(tracker: Tracker) -> None:
    with pytest.raises(TrackingError, match=r"refused ModelRegistry.set_alias: .*not found$"):
        tracker.registry.set_alias("never registered", "champion", "1")
