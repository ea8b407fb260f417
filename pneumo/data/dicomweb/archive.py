"""What is asked of an archive: QIDO-RS finds radiographs, WADO-RS fetches them, STOW-RS stores results (PS3.18)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumo.data.dicom import is_dicom, read, without_values
from pneumo.data.dicom.modality_body_part_view import may_be_chest
from pneumo.data.dicomweb import multipart
from pneumo.data.dicomweb.address import Address
from pneumo.data.dicomweb.connection import Connection, limited
from pneumo.data.dicomweb.dicom_json import first_of, parsed, uid_of, values_of
from pneumo.data.dicomweb.instance import Instance
from pneumo.data.files import whole
from pneumo.data.store.decode import MAXIMUM_BYTES
from pneumo.errors import DataError
from pneumo.records.dicom_modalities import UNSTATED

if TYPE_CHECKING:
    import httpx
    from pydicom import Dataset

CONNECTIONS = 4  # an archive serves the clinic first
PAGE = 500  # rows of an answer
MOST = 100_000  # rows of a search
LARGEST_RECEIPT = 2**20  # bytes
STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
MODALITY, BODY_PART = "00080060", "00180015"
FAILED, STORED, REFERENCED, REASON = "00081198", "00081199", "00081155", "00081197"
LAST_UID_GROUP = 0x0020


class Archive:
    """A DICOMweb archive."""

    def __init__(self, address: Address) -> None:
        multipart.require_parser()
        self.address = address
        self._connection = Connection(address)

    def find(self, modalities: Collection[str], studies: Collection[str] | None = None) -> list[Instance]:
        """Radiographs that match the address's filters, sorted; with `studies` (UIDs) those of these studies.

        Only searches that the standard requires of every archive are used: studies, their series, the instances of
        these. A series of another body part is left out; one that states none may be a chest, and its images are
        checked when they are decoded.

        Raises:
            DataError: the archive cannot be searched, or gives more than `MOST` rows.
        """
        given = self.address.filters
        wanted = sorted({given["Modality"]} if "Modality" in given else set(modalities) - {UNSTATED})
        if not wanted or not set(wanted) <= set(modalities):
            raise DataError(
                f"Expected a modality of data.dicom_modalities ({', '.join(modalities)}) to search an archive for, but"
                " the address or the setting names none of these: correct it."
            )
        if studies is None:
            studies = self._studies(wanted)
        part = given.get("BodyPartExamined")
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            found = [
                item for items in pool.map(lambda study: self._in_study(study, wanted, part), studies) for item in items
            ]
        return sorted(set(found))

    def fetch(self, instance: Instance, file: Path) -> None:
        """Write an image to a file as the archive keeps it; nothing is left there if it is not the right one.

        Raises:
            ArchiveError: the archive cannot be used.
            DataError: there is none, or the answer is broken, too large or another image.
        """
        accept = f'multipart/related; type="{multipart.DICOM}"; transfer-syntax=*'
        with whole(file) as scratch:

            def save(response: "httpx.Response") -> None:
                with scratch.open("wb") as target:
                    kind = response.headers.get("content-type", "")
                    multipart.write_single(target, kind, limited(response, MAXIMUM_BYTES))

            self._connection.ask("GET", instance.path, save, headers={"Accept": accept})
            _require_same(scratch, instance)

    def header(self, instance: Instance) -> "Dataset":
        """The elements of an image as the archive has them now, without pixels.

        Raises:
            DataError: there are none, or those of another image.
        """
        from pydicom import Dataset

        rows, _ = self._connection.json(f"{instance.path}/metadata")
        if len(rows) != 1:
            raise DataError(f"Expected the header of one image from {self.address.shown}, but got {len(rows)}.")
        with without_values(_no_header):
            found = Dataset.from_json(rows[0], lambda *_: None)
            if (found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID) != tuple(instance):
                raise _other()
        return found

    def holds(self, study: str, uid: str) -> bool:
        """Whether a study has an instance of this UID."""
        rows, _ = self._connection.json(f"studies/{study}/instances", {"SOPInstanceUID": uid})
        return any(uid_of(row, INSTANCE) == uid for row in rows)

    def store(self, study: str, files: Mapping[str, bytes]) -> None:
        """Store DICOM files, given by their SOP instance UIDs, in a study.

        Raises:
            DataError: the archive does not say that it has stored each of them.
        """
        kind, body = multipart.message(list(files.values()))

        def receipt(response: "httpx.Response") -> tuple[list[Any], list[Any]]:
            answer = parsed(b"".join(limited(response, LARGEST_RECEIPT)))
            return values_of(answer, STORED), values_of(answer, FAILED)

        headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
        done, failed = self._connection.ask("POST", f"studies/{study}", receipt, content=body, headers=headers)
        if missing := files.keys() - {first_of(item, REFERENCED) for item in done}:
            reasons = sorted({str(first_of(item, REASON))[:8] for item in failed}) or ["none"]
            raise DataError(
                f"Expected {self.address.shown} to store {len(files)} results, but it did not store {len(missing)}"
                f" (failure reason {', '.join(reasons)}): ask who runs it."
            )

    def _studies(self, modalities: Sequence[str]) -> set[str]:
        given = self.address.filters
        query = {name: given[name] for name in ("StudyDate", "StudyInstanceUID") if name in given}
        rows = [row for one in modalities for row in self._rows("studies", query | {"ModalitiesInStudy": one}, STUDY)]
        return {uid_of(row, STUDY) for row in rows}

    def _in_study(self, study: str, modalities: Sequence[str], part: str | None) -> Iterator[Instance]:
        fields = {"includefield": BODY_PART} | ({"BodyPartExamined": part} if part else {})
        for row in self._rows(f"studies/{study}/series", fields, SERIES):
            told = str(first_of(row, BODY_PART) or "").strip().upper()
            if first_of(row, MODALITY) in modalities and (told == part if part and told else may_be_chest(told)):
                series = uid_of(row, SERIES)
                below = self._rows(f"studies/{study}/series/{series}/instances", {}, INSTANCE)
                yield from (Instance(study, series, uid_of(one, INSTANCE)) for one in below)

    def _rows(self, path: str, query: Mapping[str, str], key: str) -> list[Mapping[str, Any]]:
        """All rows of a search, page by page, until one brings nothing new: some servers know no pages."""
        found: dict[str, Mapping[str, Any]] = {}
        while True:
            known = len(found)
            page = {"limit": str(PAGE), "offset": str(known)}
            rows, more = self._connection.json(path, {**query, **page})
            found |= {uid_of(row, key): row for row in rows}
            if len(found) > MOST:
                raise DataError(f"Expected at most {MOST:,} rows of a search, but there are more: narrow StudyDate.")
            if len(found) == known or (len(rows) < PAGE and not more):
                return list(found.values())


def _require_same(file: Path, instance: Instance) -> None:
    with file.open("rb") as source:
        start = source.read(2**20)
    if not is_dicom(start):
        raise DataError("Expected a DICOM file of the archive, but got something else: ask who runs it.")
    with without_values(_no_header):
        found = read(file.read_bytes(), LAST_UID_GROUP)
        if (found.StudyInstanceUID, found.SOPInstanceUID) != (instance.study, instance.uid):
            raise _other()


def _no_header(reason: str) -> DataError:
    return DataError(f"Expected a DICOM header of the archive, but it cannot be read ({reason}): ask who runs it.")


def _other() -> DataError:
    return DataError("Expected the image that was asked for, but the archive gives another one: ask who runs it.")
