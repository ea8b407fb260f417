import unicodedata

import pytest

from pneumo.data.privacy.identifying_paths import names_patient

UUID = "0004cfab-14fd-4e49-80ba-63a80b6bddd6"
ERIKA = ("Mustermann^Erika", "A-1", "19560301")


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("NORMAL/Mustermann_Erika/1.dcm", ERIKA),
        ("NORMAL/ERIKA 2.dcm", ERIKA),
        (unicodedata.normalize("NFD", "NORMAL/müller.dcm"), ("Müller^Ö", "", "")),
        ("NORMAL/\N{FULLWIDTH LATIN CAPITAL LETTER E}rika.dcm", ERIKA),
        ("NORMAL/mueller/1.dcm", ("Müller^Anna", "", "")),
        ("NORMAL/Muller/1.dcm", ("Müller^Anna", "", "")),
        ("NORMAL/Müller/1.dcm", ("Mueller^Anna", "", "")),
        ("NORMAL/Celik_1.dcm", ("Çelik^Ö", "", "")),
        ("NORMAL/Francois/1.dcm", ("Durand^François", "", "")),
        ("NORMAL/4711-22.dcm", ("", "4711/22", "")),
        ("NORMAL/Li_1.dcm", ("Li^Wu", "", "")),
        ("NORMAL/LiWu.dcm", ("Li^Wu", "", "")),
        ("NORMAL/wuli1.dcm", ("Li^Wu", "", "")),
        ("NORMAL/山田太郎.dcm", ("Yamada^Taro=山田^太郎", "", "")),
        ("NORMAL/王明.dcm", ("Wang^Ming=王^明", "", "")),
        ("NORMAL/4711001/1.dcm", ("", "4711001", "")),
        ("NORMAL/H0012345.dcm", ("", "H0012345", "")),
        ("NORMAL/scan_h-77.dcm", ("", "H-77", "")),
        *((f"NORMAL/{date}.dcm", ERIKA) for date in ("19560301", "1956-03-01", "x_1.3.1956", "03_01_1956", "01.03.56")),
        ("NORMAL/1956/03/01/1.dcm", ERIKA),
    ],
)
def test_a_path_that_tells_the_patient_is_noticed(path, header):
    assert names_patient(path, *header)


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("validation/NORMAL/1.dcm", ("Ali^Norma", "", "")),
        ("train/PNEUMONIA/1.dcm", ("Rai^Monia", "train", "")),
        ("NORMAL/delivery/wubi.dcm", ("Li^Wu", "", "")),
        ("NORMAL/DR/1.dcm", ("Mustermann^Erika^^Dr", "", "")),
        ("NORMAL/1.dcm", ("", "1", "")),
        ("NORMAL/IM-0123-0001.dcm", ("", "123", "")),
        (f"NORMAL/{UUID}.dcm", (UUID, UUID, "")),
        ("NORMAL/bfad.dcm", ("00000000-bfad-4e49-80ba-63a80b6bddd6", "", "")),
        ("NORMAL/1.2.840.1195603012.dcm", ERIKA),
        ("NORMAL/1.dcm", ("", "", "")),
        ("NORMAL/1.dcm", ("^", "", "unknown")),
    ],
)
def test_what_only_looks_like_it_is_no_alarm(path, header):
    assert not names_patient(path, *header)
