import shutil
from pathlib import Path

import pandas as pd
import pytest

from pneumo.data.store.version_changes import compare
from pneumo.data.store.versions import description_key, digest_of, find_version, keep_version, list_versions
from pneumo.errors import DataError


def test_same_images_same_digest_at_any_place(make, chest_set, home, tmp_path):
    here = make.version_of(str(chest_set), home)
    there = make.version_of(str(shutil.copytree(chest_set, tmp_path / "b" / "set")), tmp_path / "other home")
    assert here.digest == there.digest
    assert here.root != there.root


@pytest.mark.parametrize("column", ["path", "sha256", "label", "subtype", "patient", "split"])
def test_the_digest_covers_every_identity_column(made, column):
    manifest = pd.read_parquet(made[0].manifest)
    changed = manifest.copy()
    changed.loc[0, column] = "other"
    assert digest_of(changed) != digest_of(manifest) == made[0].digest


def test_the_digest_does_not_depend_on_row_order_or_measurements(made):
    manifest = pd.read_parquet(made[0].manifest)
    assert digest_of(manifest.sample(frac=1, random_state=1).assign(mean=0.0)) == made[0].digest


def test_a_version_has_only_accepted_rows_and_no_patient_crosses(make, chest_set, home):
    make.write(chest_set / "train/NORMAL/IM-0099-0001.jpeg", b"broken")
    version = make.version_of(str(chest_set), home)
    manifest = pd.read_parquet(version.manifest)
    assert version.images == len(manifest) == 48
    assert "train/NORMAL/IM-0099-0001.jpeg" not in set(manifest["path"])
    assert manifest["path"].is_monotonic_increasing
    assert (manifest.groupby("patient")["split"].nunique() == 1).all()
    assert version.counts["test"] == {"NORMAL": 4, "PNEUMONIA": 8}


def test_versions_are_listed_and_found_by_the_beginning_of_their_digest(make, chest_set, home):
    first = make.version_of(str(chest_set), home)
    make.write(chest_set / "train/NORMAL/IM-0500-0001.jpeg", make.encoded(make.picture(500)))
    second = make.version_of(str(chest_set), home)
    assert [version.digest for version in list_versions(home)] == [first.digest, second.digest]
    assert find_version(home, second.digest[:10]) == second
    with pytest.raises(DataError, match="Expected one version 'zzz', but 0 match; there are"):
        find_version(home, "zzz")


def test_comparison_names_what_changed(make, chest_set, home):
    before = make.version_of(str(chest_set), home)
    make.write(chest_set / "train/NORMAL/IM-0500-0001.jpeg", make.encoded(make.picture(500)))
    (chest_set / "train/NORMAL/IM-0002-0000.jpeg").unlink()
    moved = chest_set / "train/PNEUMONIA/person3_virus_1.jpeg"
    moved.rename(chest_set / "train/NORMAL/IM-0003-0009.jpeg")
    found = compare(before, make.version_of(str(chest_set), home))
    assert found.added == ("train/NORMAL/IM-0500-0001.jpeg",)
    assert found.removed == ("train/NORMAL/IM-0002-0000.jpeg",)
    assert found.relabelled == ("train/NORMAL/IM-0003-0009.jpeg",)
    assert found.pneumonia_share_before == 32 / 48
    assert found.pneumonia_share_after == 31 / 48


def test_a_version_source_gives_the_same_version_again(make, made):
    version, home = made
    again = make.version_of(f"version:{version.digest[:12]}", home)
    assert again.digest == version.digest
    assert Path(again.root) == version.root


def test_a_record_that_only_a_newer_pneumo_knows_is_told(tmp_path):
    file = tmp_path / "cache" / "split" / ("a" * 16) / "version.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"digest": "a", "shape": "new"}')
    with pytest.raises(DataError, match=r"in .*version\.json, .* a newer pneumo may have written it; install that"):
        list_versions(tmp_path)


def test_a_version_that_an_earlier_pneumo_kept_gets_the_columns_that_its_manifest_lacks(tmp_path):
    names = {"path": "a.png", "sha256": "1", "label": "NORMAL", "subtype": "none", "patient": "p", "split": "train"}
    old = pd.DataFrame([names])
    before = keep_version(old, "set", False, tmp_path, tmp_path)
    assert keep_version(old.assign(unissued="u"), "set", False, tmp_path, tmp_path) == before
    assert pd.read_parquet(before.manifest)["unissued"].tolist() == ["u"]
    keep_version(old, "set", False, tmp_path, tmp_path)
    assert "unissued" in pd.read_parquet(before.manifest)


def test_a_version_that_is_described_anew_keeps_what_is_said_last_and_has_another_key(tmp_path):
    names = {"path": "a.png", "sha256": "1", "label": "NORMAL", "subtype": "none", "patient": "p", "split": "train"}
    described = pd.DataFrame([names | {"sex": "", "mean": 90.0}])
    before = keep_version(described, "set", False, tmp_path, tmp_path)
    keys = [description_key(before)]
    for sex in ("", "F", "F"):
        assert keep_version(described.assign(sex=sex), "set", False, tmp_path, tmp_path).digest == before.digest
        assert pd.read_parquet(before.manifest)["sex"].tolist() == [sex]
        keys.append(description_key(before))
    assert keys[0] == keys[1] != keys[2] == keys[3]
