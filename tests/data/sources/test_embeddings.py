"""Embeddings made elsewhere: whatever is not clean is refused in one sentence that names file and column."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from pneumo.data.sources import embeddings
from pneumo.data.sources.embeddings import bring_in, vectors_of
from pneumo.errors import DataError
from pneumo.records.data import DatasetVersion
from pneumo.settings.data import Data

COUNT, WIDTH = 12, 4
VALUES = np.random.default_rng(0).normal(size=(COUNT, WIDTH)).astype("float32")
SHA = [f"{number:064x}" for number in range(COUNT)]
PATHS = [f"NORMAL/{number}.png" for number in range(COUNT)]


@pytest.fixture
def version(tmp_path):
    rows = {"path": PATHS, "sha256": SHA, "label": ["NORMAL", "PNEUMONIA"] * 6, "split": ["train"] * 8 + ["test"] * 4}
    pd.DataFrame(rows).to_parquet(tmp_path / "manifest.parquet")
    return DatasetVersion(
        digest="d" * 64, source="drawn", synthetic=True, root=tmp_path, manifest=tmp_path / "manifest.parquet",
        images=COUNT, counts={},
    )  # fmt: skip


@pytest.fixture
def bring(tmp_path, version):
    """Writes columns to rad.parquet (or bytes as they are) and brings it in."""

    def do(columns, name="rad.parquet", metadata=None):
        file = tmp_path / "features" / name
        file.parent.mkdir(exist_ok=True)
        if isinstance(columns, bytes):
            file.write_bytes(columns)
        else:
            parquet.write_table(
                (columns if isinstance(columns, pa.Table) else pa.table(columns)).replace_schema_metadata(metadata),
                file,
            )
        return bring_in([str(file)], version, tmp_path / "home", Data())[0]

    return do


def good(**changes):
    return {"sha256": SHA, "embedding": VALUES.tolist(), **changes}


def wide(**changes):
    return {"path": PATHS, **{f"f{place}": VALUES[:, place] for place in range(WIDTH)}, **changes}


def replaced(values, place, value):
    return [value if number == place else item for number, item in enumerate(values)]


def fixed(kind):
    return pa.FixedSizeListArray.from_arrays(pa.array(VALUES.ravel(), kind), WIDTH)


@pytest.mark.parametrize(
    "columns",
    [
        good(),
        good(sha256=[text.upper() for text in SHA]),
        good(label=["a"] * COUNT),  # beside a column of lists, others are not read
        good(embedding=pa.array(VALUES.tolist(), pa.large_list(pa.float64()))),
        good(embedding=fixed(pa.float32())),
        wide(),
        {"sha256": SHA[::-1], **{f"f{place}": VALUES[::-1, place] for place in range(WIDTH)}},
    ],
    ids=["lists", "capitals", "more columns", "large lists", "fixed lists", "columns by path", "another order"],
)
def test_each_form_gives_every_image_its_vector(bring, columns):
    found = bring(columns)
    assert (found.name, found.width, found.images, found.others) == ("rad", WIDTH, COUNT, 0)
    wanted = pd.Series(SHA[::2])
    np.testing.assert_array_equal(vectors_of(found.path, wanted), VALUES[::2])


def test_half_precision_is_taken(bring):
    found = bring(good(embedding=pa.array([row.astype("float16") for row in VALUES], pa.list_(pa.float16()))))
    np.testing.assert_allclose(vectors_of(found.path, pd.Series(SHA)), VALUES, atol=1e-3)


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64()])
def test_whole_numbers_of_any_size_are_taken(bring, kind):
    numbers = [[2**62 + number, number] for number in range(COUNT)]
    for columns in (
        good(embedding=pa.array(numbers, pa.list_(kind))),
        wide(f0=pa.array([n[0] for n in numbers], kind)),
    ):
        assert vectors_of(bring(columns).path, pd.Series(SHA))[3, 0] == np.float32(2**62)


def test_one_file_is_held_at_a_time(bring, tmp_path, version, monkeypatch):
    bring(good(), "a.parquet"), bring(wide(f0=VALUES[:, 0] + 1), "b.parquet")
    told = []
    for name in ("_content", "_kept"):
        real = getattr(embeddings, name)
        monkeypatch.setattr(embeddings, name, lambda *args, real=real, name=name: told.append(name) or real(*args))
    bring_in([str(tmp_path / "features")], version, tmp_path / "home", Data())
    assert told == ["_content", "_kept"] * 2


def test_other_images_are_allowed_and_counted(bring):
    more = good(sha256=[*SHA, "f" * 64], embedding=[*VALUES.tolist(), [0.0] * WIDTH])
    assert bring(more).others == 1


def test_the_same_row_twice_is_no_harm(bring):
    assert bring(good(sha256=[*SHA, SHA[0]], embedding=[*VALUES.tolist(), VALUES[0].tolist()])).others == 0


def test_the_name_is_that_of_the_metadata_or_of_the_file(bring):
    assert bring(good(), metadata={"name": "RAD-DINO base"}).candidate == "linear on RAD-DINO base"
    assert bring(good(), "dino.v2.parquet").name == "dino.v2"


def test_the_same_content_is_the_same_key_and_other_content_another(bring):
    one = bring(good())
    assert bring(wide(), "rad.parquet").key == one.key
    assert bring(good(embedding=(VALUES + 1).tolist())).key != one.key


BAD = {
    "no parquet": (b"sha256,f0\n", r"Expected a Parquet file, but \S+rad\.parquet cannot be read as one \(.*\): write"),
    "nothing": (b"", r"Expected a Parquet file, but"),
    "no rows": ({"sha256": pa.array([], pa.string()), "f0": pa.array([], pa.float32())}, "rad.parquet, got an empty"),
    "no key": ({"id": SHA, "embedding": VALUES.tolist()}, "column sha256 or path in .*, got id, embedding: add one"),
    "no columns": (pa.table({}), "column sha256 or path in .*, got no columns"),
    "not hex": (good(sha256=replaced(SHA, 3, "abc")), "column sha256 of .* 1 rows hold something else, such as 'abc'"),
    "no key in a row": (good(sha256=replaced(SHA, 3, None)), "column sha256 of .* such as 'None'"),
    "key is a number": ({"path": list(range(COUNT)), "f0": VALUES[:, 0]}, "column path of .*12 rows hold"),
    "missing": (
        {"sha256": SHA[:-2], "embedding": VALUES[:-2].tolist()},
        r"vector of every image in .*, joined by column sha256, but 2 of 12 have none, such as NORMAL/10\.png: make",
    ),
    "another vector": (
        good(sha256=[*SHA, SHA[0]], embedding=[*VALUES.tolist(), VALUES[1].tolist()]),
        f"one vector for each sha256 in .*, but 1 rows give another one .* such as {SHA[0]}",
    ),
    "nan": (
        good(embedding=replaced(VALUES.tolist(), 2, [1.0, float("nan"), 0.0, 0.0])),
        f"in column embedding of {SHA[2]}",
    ),
    "infinity": (wide(f2=replaced(VALUES[:, 2].tolist(), 5, float("inf"))), "the first in column f2 of NORMAL/5.png"),
    "too large": (wide(f2=replaced(VALUES[:, 2].tolist(), 5, 1e300)), "in column f2 of NORMAL/5.png"),
    "a number missing": (wide(f1=replaced(VALUES[:, 1].tolist(), 4, None)), "in column f1 of NORMAL/4.png"),
    "a number missing in a list": (
        good(embedding=replaced(VALUES.tolist(), 1, [None, 1.0, 1.0, 1.0])),
        f"in column embedding of {SHA[1]}",
    ),
    "lengths": (
        good(embedding=replaced(VALUES.tolist(), 7, [1.0, 2.0])),
        f"same length in column embedding .*{SHA[0]} has 4 numbers and {SHA[7]} has 2",
    ),
    "no list in a row": (good(embedding=replaced(VALUES.tolist(), 7, None)), f"{SHA[7]} has 0"),
    "no fixed list in a row": (
        good(embedding=pa.array(replaced(VALUES.tolist(), 7, None), pa.list_(pa.float32(), WIDTH))),
        "cannot be read as one",  # pyarrow will not have it
    ),
    "objects": (good(embedding=[b"\x80\x04pickle"] * COUNT), "lists of numbers in column embedding of .*, got binary"),
    "an object column": (wide(f3=[b"\x80\x04pickle"] * COUNT), r"numbers in column f3 of \S+, got binary: take it out"),
    "texts": (good(embedding=[["a", "b"]] * COUNT), "lists of numbers in column embedding of .*got list"),
    "lists of lists": (good(embedding=[[[1.0], [2.0]]] * COUNT), "lists of numbers in column embedding"),
    "truth values": (wide(f3=[True] * COUNT), "numbers in column f3 of .*, got bool"),
    "the label": (wide(label=[0, 1] * 6), "features only in .*, but column label is none: take it out"),
    "the label's name in capitals": (wide(**{" LABEL": [0, 1] * 6}), "features only in .*, but column  LABEL is none"),
    "the label by another name": (wide(diagnosis=[0.5, 1, 1] * 4), "column diagnosis is none"),
    "the patient": (wide(**{"Patient ID": list(range(COUNT))}), "column Patient ID is none"),
    "the label by an unknown name": (
        wide(f9=[2.0, 3.0] * 6),
        "features only in .*, but number 5 of each vector is one value for all training images of a class",
    ),
    "the label in a list": (
        good(embedding=[[*row, number % 2] for number, row in enumerate(VALUES.tolist())]),
        "number 5 of each vector is one value for all",
    ),
    "an order": (wide(__index_level_0__=list(range(COUNT))), "column __index_level_0__ is none"),
    "one number": ({"path": PATHS, "f0": VALUES[:, 0]}, "two or more numbers an image in .*, got 1"),
    "keys alone": ({"path": PATHS}, "two or more numbers an image in .*, got 0"),
    "all the same": (good(embedding=[[1.0, 2.0]] * COUNT), "all training images have the same"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_in_one_sentence(bring, tmp_path, columns, words):
    with pytest.raises(DataError, match=words) as caught:
        bring(columns)
    assert "rad.parquet" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "home").exists()


def test_a_torn_file_is_refused(bring, tmp_path):
    bring(good())
    content = (tmp_path / "features" / "rad.parquet").read_bytes()
    for cut in (4, len(content) // 2, len(content) - 1):
        with pytest.raises(DataError, match="cannot be read as one"):
            bring(content[:cut])


@pytest.mark.parametrize("name", ["<script>.parquet", "..parquet", "x" * 61 + ".parquet"])
def test_a_name_that_pages_cannot_take_is_refused(bring, name):
    with pytest.raises(DataError, match="rename the file, or set `name`"):
        bring(good(), name)


def test_a_folder_is_a_candidate_per_file_and_names_are_told_apart(bring, tmp_path, version):
    folder = tmp_path / "features"
    bring(good(), "b.parquet"), bring(wide(), "a.parquet")
    assert [item.name for item in bring_in([str(folder)], version, tmp_path / "home", Data())] == ["a", "b"]
    with pytest.raises(DataError, match=r"different names, got a twice: rename .*a\.parquet"):
        bring_in([str(folder), str(folder / "a.parquet")], version, tmp_path / "home", Data())


@pytest.mark.parametrize("place", ["nowhere.parquet", "."])
def test_a_place_without_a_file_is_told(tmp_path, version, place):
    with pytest.raises(DataError, match=r"there is none at .*: check the path"):
        bring_in([str(tmp_path / "empty" / place)], version, tmp_path, Data())


def test_an_image_that_has_none_is_told_when_it_is_asked_for(bring):
    with pytest.raises(DataError, match=f"{'e' * 64} has none: train again"):
        vectors_of(bring(good()).path, pd.Series(["e" * 64]))


def test_a_prefix_of_embeddings_is_a_folder_and_not_the_beginning_of_a_name(tmp_path, version, s3_server, upload):
    for place in ("rad", "rad-old"):
        (tmp_path / place).mkdir()
        parquet.write_table(pa.table(good()), tmp_path / place / f"{place}.parquet")
        upload(tmp_path / place, f"embeddings/{place}")
    found = bring_in(["s3://hospital/embeddings/rad"], version, tmp_path / "home", Data(s3_endpoint=s3_server))
    assert [item.name for item in found] == ["rad"]
