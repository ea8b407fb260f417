"""The stage on a drawn set: without pretrained weights, and with networks of folds."""

import pandas as pd

from pneumo.evaluation.label_audit.audit import PICTURES, SHEET, audit_labels, sentence
from pneumo.training.candidates.spec import candidate_specs

(SPEC,) = candidate_specs("MobileNet:0.25", "none", 32, 1)


def test_without_frozen_features_only_validation_images_are_judged_and_test_images_never(evaluation, dataset, home):
    found = audit_labels(SPEC, *dataset, evaluation, home)
    manifest = pd.read_parquet(dataset[0].manifest).set_index("path")
    listed = pd.read_csv(found.folder / SHEET)
    assert found.images == (manifest["split"] == "validation").sum()
    assert found.suspects == len(listed) > 0
    assert set(manifest.loc[listed["path"], "split"]) == {"validation"}
    assert "training images have no score" in found.source
    assert (found.folder / PICTURES).is_file()
    assert sentence(found).startswith(f"{found.suspects} images of {found.images} whose label should be looked at")


def test_networks_of_folds_judge_every_image_outside_the_test_set(evaluation, dataset, home, tmp_path):
    manifest = pd.read_parquet(dataset[0].manifest)
    rows = manifest[["path", "sha256", "patient", "label", "subtype", "split"]].copy()
    rows.loc[rows["split"] == "train", "split"] = "validation"
    rows["logit"] = (rows["label"] == "PNEUMONIA") * 6.0 - 3
    wrong = rows.index[(rows["split"] == "validation") & (rows["label"] == "NORMAL")][0]
    rows.loc[wrong, "logit"] = 9
    rows.to_parquet(tmp_path / "predictions.parquet")
    folded = evaluation.model_copy(update={"key": "folded", "predictions": tmp_path / "predictions.parquet"})
    found = audit_labels(SPEC, *dataset, folded, home)
    assert (found.images, found.suspects) == ((manifest["split"] != "test").sum(), 1)
    assert pd.read_csv(found.folder / SHEET)["path"].tolist() == [rows.loc[wrong, "path"]]


def test_other_weights_in_the_same_folder_are_another_audit(evaluation, dataset, home, tmp_path):
    spec = SPEC.model_copy(update={"weights": str(tmp_path)})
    folders = []
    for content in (b"old", b"old", b"new"):
        (tmp_path / "MobileNet_0.25_no_top.weights.h5").write_bytes(content)
        folders.append(audit_labels(spec, *dataset, evaluation, home).folder)
    assert folders[0] == folders[1] != folders[2]


def test_another_manifest_of_the_same_images_is_another_audit(evaluation, dataset, home, tmp_path):
    version, store = dataset
    rows = pd.read_parquet(version.manifest)
    rows.assign(phash=rows["sha256"]).to_parquet(tmp_path / "manifest.parquet")
    told = version.model_copy(update={"manifest": tmp_path / "manifest.parquet"})
    assert audit_labels(SPEC, told, store, evaluation, home).folder != (
        audit_labels(SPEC, version, store, evaluation, home).folder
    )
