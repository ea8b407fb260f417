import pytest

from pneumo.data.sources.names import patient_by, patient_of, subtype_of


@pytest.mark.parametrize(
    ("path", "patient"),
    [
        ("train/PNEUMONIA/person12_bacteria_3.jpeg", "bacteria-12"),
        ("train/PNEUMONIA/person12_virus_4.jpeg", "virus-12"),
        ("train/PNEUMONIA/person12_virus_4_2.jpeg", "virus-12"),
        ("train/NORMAL/IM-0115-0001.jpeg", "IM-0115"),
        ("test/NORMAL/NORMAL2-IM-0115-0001-0002.jpeg", "NORMAL2-IM-0115"),
        ("NORMAL/00001315_006.png", "NIH-00001315"),
        ("NORMAL/20260301_006.png", None),
        ("NORMAL/31012026_006.png", None),
        ("NORMAL/some scan (3).png", None),
        ("NORMAL/胸部-07.png", None),
    ],
)
def test_patient_by_file_name(path, patient):
    assert patient_of(path) == patient


@pytest.mark.parametrize(
    ("pattern", "path", "patient"),
    [
        (r"(?P<patient>case\d+)/", "train/NORMAL/case12/pa.png", "case12"),
        (r"/(?P<patient>[^/_]+)_[^/]*$", "NORMAL/ab12_lateral_2.png", "ab12"),
        (r"/(?P<patient>[^/_]*)_[^/]*$", "NORMAL/_2.png", None),
        (r"(?P<patient>case\d+)/", "NORMAL/scan.png", None),
        (None, "NORMAL/scan.png", None),
    ],
)
def test_patient_by_a_pattern_of_the_settings(pattern, path, patient):
    assert patient_by(pattern, path) == patient


def test_only_a_pneumonia_has_a_subtype():
    assert subtype_of("person1_virus_1.jpeg", "PNEUMONIA") == "virus"
    assert subtype_of("person1_virus_1.jpeg", "NORMAL") == "none"
    assert subtype_of("scan.jpeg", "PNEUMONIA") == "none"
