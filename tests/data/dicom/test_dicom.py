import warnings

import numpy as np
import pandas as pd
import pydicom
import pytest

from pneumo.data.dicom import read, without_values
from pneumo.data.privacy.dicom_identity import identify
from pneumo.data.quality.seen_before import seen_before
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.decode import decode
from pneumo.errors import DataError
from pneumo.serving.results.result import study_of
from pneumo.settings.data import Data
from tests.data.conftest import dicom

RAMP = np.tile(np.linspace(0, 4000, 64).astype(np.uint16), (64, 1))


def test_monochrome1_is_inverted(make):
    plain = decode(make.dicom(RAMP), 32, "squash").astype(int)
    inverted = decode(make.dicom(RAMP, PhotometricInterpretation="MONOCHROME1"), 32, "squash").astype(int)
    assert plain[0, 0] < plain[0, -1]
    assert np.abs(plain + inverted - 255).max() <= 1


def test_without_a_window_a_few_bright_pixels_do_not_change_the_grays(make):
    odd = RAMP.copy()
    odd[0, :3] = 60_000
    plain, changed = (decode(make.dicom(pixels), 64, "squash").astype(int) for pixels in (RAMP, odd))
    assert np.abs(changed - plain)[1:].max() <= 2


WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


def lookup(entries, bits, count=None):
    from pydicom.dataset import Dataset

    table = Dataset()
    table.add_new("LUTDescriptor", "US", [count or len(entries), 0, bits])
    table.add_new("LUTData", "US", list(entries))
    return {"VOILUTSequence": [table]}


SHOWN = {
    "window": WINDOW,
    "exact window": {**WINDOW, "VOILUTFunction": "LINEAR_EXACT"},
    "window after rescaling": {**WINDOW, "WindowCenter": 1024 + 7, "RescaleSlope": 0.5, "RescaleIntercept": 7},
    "window in 12 of 16 bits": {**WINDOW, "BitsStored": 12, "HighBit": 11},
    "table of 12 bits": lookup(range(4096), 12),
    "table that declares more bits than it uses": lookup(range(4096), 16),
    "table of 8 bits": lookup([value // 16 for value in range(4096)], 8),
    "table, then a window": {**lookup(range(4096), 12), "WindowCenter": 100, "WindowWidth": 10},
}
SHOWN["window after rescaling"]["WindowWidth"] = 2048


@pytest.mark.parametrize("brightest", [1500, 4095])
@pytest.mark.parametrize("shown", SHOWN)
def test_a_window_gives_the_same_grays_whatever_the_brightest_pixel(make, shown, brightest):
    pixels = np.tile(np.linspace(500, 1500, 64).astype(np.uint16), (64, 1))
    pixels[0, 0] = brightest
    grays = decode(make.dicom(pixels, **SHOWN[shown]), 64, "squash")
    assert grays[1:].mean() == pytest.approx(1000 / 4096 * 255, abs=1)
    assert (grays[9, 0], grays[9, 63]) == pytest.approx((500 / 4096 * 255, 1500 / 4096 * 255), abs=1)


def test_a_negative_slope_turns_a_window_round(make):
    turned = make.dicom(RAMP, RescaleSlope=-1, RescaleIntercept=4000, WindowCenter=2000, WindowWidth=4000)
    plain = make.dicom(RAMP, WindowCenter=2000, WindowWidth=4000)
    assert np.abs(decode(turned, 64, "squash") + decode(plain, 64, "squash").astype(int) - 255).max() <= 1


@pytest.mark.parametrize(
    "attributes",
    [{"WindowCenter": None, "WindowWidth": None}, {"WindowCenter": 900}, {"WindowCenter": 900, "WindowWidth": None}],
    ids=["empty", "no width", "empty width"],
)
def test_half_a_window_is_none(make, attributes):
    odd = RAMP.copy()
    odd[0, :3] = 60_000
    np.testing.assert_array_equal(
        decode(make.dicom(odd, **attributes), 64, "squash"), decode(make.dicom(odd), 64, "squash")
    )


def test_window_and_rescale_are_applied(make):
    windowed = decode(make.dicom(RAMP, WindowCenter=1000, WindowWidth=1000), 64, "squash")
    assert (windowed[:, :7] == 0).all()
    assert (windowed[:, 26:] == 255).all()
    shifted = make.dicom(RAMP, WindowCenter=0, WindowWidth=1000, RescaleSlope=1, RescaleIntercept=-1000)
    assert np.abs(decode(shifted, 64, "squash").astype(int) - windowed).max() <= 1


def patient_key(data, secret):
    return identify(data, "x.dcm", secret)[0]


def test_patient_is_a_keyed_hash_of_the_identifier(make):
    one, other = make.dicom(RAMP, "A-1"), make.dicom(RAMP, "A-2")
    key = patient_key(one, b"secret")
    assert key == patient_key(make.dicom(RAMP[::-1], "A-1"), b"secret")
    assert key not in (patient_key(other, b"secret"), patient_key(one, b"another secret"))
    assert patient_key(make.dicom(RAMP, ""), b"secret") is None


@pytest.mark.parametrize(("attributes", "named"), [({}, True), ({"PatientIdentityRemoved": "YES"}, False)])
def test_a_path_that_names_the_patient_is_noticed_unless_identities_were_removed(make, attributes, named):
    assert identify(make.dicom(RAMP, **attributes), "NORMAL/mustermann.dcm", b"secret")[1] is named


@pytest.mark.parametrize(
    "attributes",
    [{"AccessionNumber": "RX-20417"}, {"OtherPatientIDs": ["K-1", "rx20417"]}, {"OtherPatientIDs": "RX 20417"}],
)
def test_a_path_with_the_number_of_the_examination_or_of_another_hospital_is_noticed(make, attributes):
    for name, named in (("NORMAL/rx20417_1.dcm", True), ("NORMAL/20418.dcm", False)):
        assert identify(make.dicom(RAMP, **attributes), name, b"secret")[1] is named


def test_files_called_after_their_patient_are_refused_without_saying_the_name(make, tmp_path, home):
    for label in ("NORMAL", "PNEUMONIA"):
        make.write(tmp_path / f"set/{label}/1.dcm", make.dicom(RAMP))
    make.write(tmp_path / "set/NORMAL/Mustermann/2.dcm", make.dicom(RAMP))
    for _ in range(2):  # also when it was read before
        with pytest.raises(DataError, match=r"1 DICOM files in .*set are named after their patient") as caught:
            ingest(str(tmp_path / "set"), home, Data())
        assert "ustermann" not in str(caught.value)
    assert not (home / "cache" / "ingest").exists()


def test_a_folder_called_after_the_patient_is_noticed_from_above_though_it_was_read_from_within(make, tmp_path, home):
    for name in ("a", "b"):
        make.write(tmp_path / f"set/Mustermann/{name}.dcm", make.dicom(RAMP))
    for folder, prefix in (("set/Mustermann", ""), ("set", "Mustermann/")):
        rows = f"path,label\n{prefix}a.dcm,0\n{prefix}b.dcm,1\n"
        make.write(tmp_path / folder / "labels.csv", rows.encode())
    assert ingest(str(tmp_path / "set/Mustermann/labels.csv"), home, Data()).images == 2
    with pytest.raises(DataError, match=r"2 DICOM files in .*set are named after their patient"):
        ingest(str(tmp_path / "set/labels.csv"), home, Data())


UNREADABLE = {
    "film loop": lambda make: make.dicom(np.stack([RAMP] * 2), NumberOfFrames=2),
    "colour": lambda make: make.dicom(RAMP, PhotometricInterpretation="RGB"),
    "cut short": lambda make: make.dicom(RAMP, PixelData=bytes(10)),
    "broken behind the patient": lambda make: make.dicom(RAMP)[:500],
    "born then": lambda make: make.dicom(np.stack([RAMP] * 2), PatientName="", PatientBirthDate="19560301"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_unreadable_file_called_after_its_patient_is_refused_as_well(make, chest_set, home, kind):
    name = "1956-03-01" if kind == "born then" else "Erika Mustermann"
    make.write(chest_set / f"train/NORMAL/{name}.dcm", UNREADABLE[kind](make))
    with pytest.raises(DataError, match=r"1 DICOM files in .* are named after their patient"):
        ingest(str(chest_set), home, Data())


def test_a_patient_whose_issuer_only_some_files_name_is_one_patient(make, tmp_path, home):
    files = [("NORMAL", 1, "A-1", ""), ("PNEUMONIA", 2, "A-1", "WARD"), ("NORMAL", 3, "A-2", "WARD"),
             ("PNEUMONIA", 4, "A-2", "CLINIC")]  # fmt: skip
    for label, seed, patient, issuer in files:
        image = np.asarray(make.picture(seed, (64, 64)))
        make.write(tmp_path / f"set/{label}/{seed}.dcm", make.dicom(image, patient, IssuerOfPatientID=issuer))
    manifest = pd.read_parquet(ingest(str(tmp_path / "set"), home, Data()).manifest).sort_values("path")
    first, third, second, fourth = manifest["patient"]  # NORMAL/1, NORMAL/3, PNEUMONIA/2, PNEUMONIA/4
    assert first == second and len({first, third, fourth}) == 3


@pytest.mark.parametrize(("ours", "theirs", "seen"), [
    ("WARD", "", True), ("", "WARD", True), ("", "", True), ("WARD", "WARD", True), ("WARD", "CLINIC", False),
])  # fmt: skip
def test_a_patient_whose_issuer_only_one_of_two_sets_names_may_be_the_same(make, tmp_path, home, ours, theirs, seen):
    manifests = []
    for number, issuer in enumerate((ours, theirs)):
        for label, patient in (("NORMAL", "A-1"), ("PNEUMONIA", f"B-{number}")):
            image = np.asarray(make.picture(10 * number + len(label), (64, 64)))
            file = tmp_path / f"{number}/{label}/1.dcm"
            make.write(file, make.dicom(image, patient, IssuerOfPatientID=issuer))
        manifests.append(pd.read_parquet(ingest(str(tmp_path / str(number)), home, Data()).manifest))
    known, manifest = (rows.drop(columns=["pixels", "phash"]) for rows in manifests)  # drawn pictures look alike
    assert seen_before(manifest, known).tolist() == [seen, False]


def test_no_identifier_reaches_the_manifest_or_the_cache(make, tmp_path, home):
    for label, seed in (("NORMAL", 1), ("PNEUMONIA", 2)):
        image = np.asarray(make.picture(seed, (64, 64)))
        make.write(tmp_path / f"set/{label}/{seed}.dcm", make.dicom(image, f"MUSTERMANN-{seed}"))
    make.write(tmp_path / "set/NORMAL/broken.dcm", make.dicom(RAMP)[:500])
    inventory = ingest(str(tmp_path / "set"), home, Data())
    manifest = pd.read_parquet(inventory.manifest)
    assert manifest["patient"].str.startswith("dicom-").sum() >= 2
    for path in home.rglob("*"):
        if path.is_file():
            assert b"ustermann" not in path.read_bytes().lower().replace(b"M", b"m"), path


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"PhotometricInterpretation": "RGB"}, "expected gray pixels"),
        ({"Rows": 0}, "0 pixels declared"),
        ({"Rows": 20_000, "Columns": 20_000}, "400,000,000 pixels declared"),
        ({"PixelData": b"\0" * 10}, "x.dcm cannot be decoded"),
        (lookup(range(9), 8, count=4096), "9 entries of the 4096"),
    ],
)
def test_a_dicom_file_that_is_no_radiograph_is_refused_without_quoting_it(make, attributes, text):
    with pytest.raises(DataError, match=text) as caught:
        decode(make.dicom(RAMP, **attributes), 32, "pad", "x.dcm")
    assert "ustermann" not in str(caught.value).lower()


BIRTH, UID = "02.01.1950", "1.2.840.0012.77"  # of a form that DICOM does not have, so that pydicom warns of it


@pytest.fixture
def odd_file(monkeypatch):
    """A file with such values, and pydicom as it is at the start of a process."""
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.WARN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = {"PatientBirthDate": BIRTH, "StudyInstanceUID": UID, "SOPInstanceUID": UID}
        return dicom(np.arange(4096, dtype=np.uint8).reshape(64, 64), **told)


def test_no_warning_quotes_what_stands_in_a_header(odd_file, recwarn):
    def no(reason):
        return DataError(reason)

    warnings.simplefilter("always")
    with without_values(no):
        header = read(odd_file)
        assert (header.PatientBirthDate, header.StudyInstanceUID) == (BIRTH, UID)
        told = {"00100030": {"vr": "DA", "Value": [BIRTH]}, "0020000D": {"vr": "UI", "Value": [UID]}}
        assert study_of(pydicom.Dataset.from_json(told)).PatientBirthDate == BIRTH  # as an archive gives it
    assert not [str(one.message) for one in recwarn]
