import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.evaluation.external.validation import bring_in, evaluate_external
from pneumo.evaluation.external.verdict import require_different_names, set_name
from pneumo.records.data import DatasetVersion, Inventory
from pneumo.settings.data import Data
from tests.evaluation.conftest import table


@pytest.fixture
def place(tmp_path):
    """A folder with two images of each class, and a version of the same number of others."""
    for folder, first in (("here", 0), ("there", 8)):
        for number in range(first, first + 4):
            small = np.random.default_rng(number).integers(30, 220, (32, 32), dtype=np.uint8)
            path = tmp_path / folder / ("NORMAL", "PNEUMONIA")[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(small).resize((224, 224), Image.Resampling.BICUBIC).save(path)
    manifest = ingest(str(tmp_path / "here"), tmp_path / "home", Data()).manifest
    known = {"digest": "d" * 64, "source": "here", "synthetic": False, "root": tmp_path / "here", "counts": {}}
    return tmp_path, DatasetVersion(manifest=manifest, images=4, **known)


def test_a_set_of_other_pictures_is_brought_in(place):
    folder, version = place
    assert bring_in(str(folder / "there"), version, folder / "home", Data()).images == 4


@pytest.mark.parametrize(
    ("kind", "change", "options"),
    [
        ("PNG", lambda image: image, {"compress_level": 1}),  # the same pixels in other bytes
        ("JPEG", lambda image: image.resize((180, 180)), {"quality": 60}),
    ],
)
def test_a_set_with_pictures_of_the_data_set_saved_again_is_refused_by_name(place, kind, change, options):
    folder, version = place
    with Image.open(folder / "here/NORMAL/2.png") as image:
        change(image).save(folder / f"there/NORMAL/again.{kind.lower()}", kind, **options)
    with pytest.raises(
        DataError, match=r"1 of them are, or almost are, in the data set \(NORMAL/again.* ~ NORMAL/2.png"
    ):
        bring_in(str(folder / "there"), version, folder / "home", Data())


@pytest.fixture
def patients(place):
    """The same place; its images are of two patients, one of each class a patient, and so are those of the version."""
    folder, version = place
    for side in ("here", "there"):
        for path in sorted((folder / side).rglob("*.png")):
            number = int(path.stem) % 8
            path.rename(path.with_name(f"{side}{number // 2}-{number}.png"))
    options = Data(patient_pattern=r"(?P<patient>[a-z]+\d+)-\d+\.png$")
    manifest = ingest(str(folder / "here"), folder / "home", options).manifest
    return folder, version.model_copy(update={"manifest": manifest}), options


def renamed(folder, before, after):
    for path in folder.rglob(f"{before}-*.png"):
        path.rename(path.with_name(path.name.replace(before, after)))


def test_other_images_of_patients_who_were_learned_are_left_out_and_counted(patients):
    folder, version, options = patients
    renamed(folder / "there", "there0", "here0")
    found = bring_in(str(folder / "there"), version, folder / "home", options)
    rows = pd.read_parquet(found.manifest)
    assert not rows["patient"].str.startswith("here").any()
    assert (found.images, len(rows), found.skipped["of patients in the data set"]) == (2, 2, 2)
    assert found == bring_in(str(folder / "there"), version, folder / "home", options)


def test_a_set_of_learned_patients_alone_is_refused(patients):
    folder, version, options = patients
    renamed(folder / "there", "there0", "here0")
    renamed(folder / "there", "there1", "here0")
    with pytest.raises(DataError, match="without 4 images of patients in the data set, but NORMAL, PNEUMONIA is miss"):
        bring_in(str(folder / "there"), version, folder / "home", options)


def test_a_test_patient_of_the_data_set_is_no_learned_one(patients):
    folder, version, options = patients
    pd.read_parquet(version.manifest).assign(split="test").to_parquet(folder / "test.parquet")
    renamed(folder / "there", "there0", "here0")
    version = version.model_copy(update={"manifest": folder / "test.parquet"})
    assert bring_in(str(folder / "there"), version, folder / "home", options).images == 4


def test_what_was_left_out_is_said_of_the_candidate(evaluation, inventory, home):
    left = inventory.model_copy(update={"key": "less", "skipped": {"of patients in the data set": 7}})
    assert evaluate_external(evaluation, left, home).left_out == 7


def test_a_model_that_does_not_generalise_is_said_not_to(evaluation, inventory, home):
    found = evaluate_external(evaluation, inventory, home)
    assert not found.generalises and found.auc.value < 0.5
    assert found.verdict.startswith("Does not generalise: AUC 0.") and "at home" in found.verdict
    assert (found.images, found.errors) == (59, 1)
    assert sorted(path.stem for path in (found.folder / "figures").iterdir()) == ["confusion", "reliability", "roc"]


def test_a_model_that_generalises_is_said_to(evaluation, home):
    """Other patients, drawn and photographed as those at home."""
    root = home / "alike"
    manifest, _ = table(root, 240, seed=2)
    manifest.drop(columns="split").assign(error=None).to_parquet(home / "alike.parquet")
    alike = Inventory(
        key="alike", source="alike", synthetic=True, root=root, manifest=home / "alike.parquet", images=240, skipped={}
    )
    found = evaluate_external(evaluation, alike, home)
    assert found.generalises and found.verdict.startswith(f"Generalises: AUC {found.auc.value:.3f}")
    assert found.auc.value > evaluation.test_auc.value - 0.1


def test_the_external_set_is_kept_by_inventory_and_evaluation(evaluation, inventory, home):
    first = evaluate_external(evaluation, inventory, home)
    moved = inventory.model_copy(update={"source": "other"})
    assert evaluate_external(evaluation, moved, home) == first.model_copy(update={"source": "other", "name": "other"})


def test_most_images_from_elsewhere_are_flagged(evaluation, inventory, home):
    assert evaluate_external(evaluation, inventory, home).out_of_distribution > 0.5


@pytest.mark.parametrize(
    "sources", [("/north/chest_xray", "/south/chest_xray"), ("/test", "/north"), ("s3://b/a b", "/a b/")]
)
def test_sets_whose_figures_would_be_kept_under_one_name_are_refused(sources):
    with pytest.raises(DataError, match=rf"different last names, .* got {sources[0]}.*: rename a folder"):
        require_different_names(sources)
    require_different_names(["/north", "/south"])


def test_a_test_folder_of_kaggle_is_an_external_set_of_another_name_than_the_own_test_images():
    require_different_names(["/kaggle/chest_xray/test", "/other/test/"])
    assert set_name("/kaggle/chest_xray/test") == "chest_xray test"
