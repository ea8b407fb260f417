"""A source cannot say of its pictures that they are somebody else's."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from pneumo.data.sources.schemes import ingest
from pneumo.data.store.decode import decode
from pneumo.data.store.deidentified_copies import RECORD
from pneumo.data.store.image_store import decode_all
from pneumo.settings.data import Data


@pytest.mark.parametrize("around", ["", "cache/pulled/"], ids=["plain", "in folders called like ours"])
def test_a_record_inside_a_source_is_not_believed(make, chest_set, home, tmp_path, around):
    name = "train/NORMAL/IM-0002-0000.jpeg"
    theirs = (chest_set / name).read_bytes()
    forged = make.kaggle_set(tmp_path / f"forged/{around}set")
    mine = make.encoded(make.picture(4711))
    make.write(forged / name, mine)
    claims = {name: [hashlib.sha256(theirs).hexdigest(), hashlib.sha256(mine).hexdigest(), len(mine)]}
    make.write(forged / RECORD, json.dumps(claims).encode())
    found = pd.read_parquet(ingest(str(tmp_path / "forged"), home, Data()).manifest).set_index("path")
    assert found.loc[name, "sha256"] == hashlib.sha256(mine).hexdigest()
    version = make.version_of(str(chest_set), home)
    row = pd.read_parquet(version.manifest)["path"].tolist().index(name)
    np.testing.assert_array_equal(
        np.load(decode_all(version, home, 224, "squash").path)[row], decode(theirs, 224, "squash")
    )
