"""A local copy of radiographs in a DICOMweb archive, in files that no name can be read from."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pneumo.cache import is_kept, stage_key
from pneumo.data.dicomweb.address import FORM, Address, parse
from pneumo.data.dicomweb.archive import CONNECTIONS, Archive
from pneumo.data.dicomweb.instance import Instance
from pneumo.data.privacy.pseudonyms import patient_secret, pseudonym
from pneumo.errors import ArchiveError, DataError
from pneumo.settings.data import Data


@dataclass(frozen=True)
class Fetched:
    """An image of an archive and its file here, which is not there if an `error` says why."""

    instance: Instance
    file: Path
    error: str | None = None


def mirror(source: str, home: Path, settings: Data) -> tuple[Address, list[Fetched]]:
    """Fetch the radiographs that an address asks for; those that are here already are not fetched again.

    Raises:
        DataError: the address is wrong, the archive cannot be used, or nothing matches.
    """
    address = parse(source, settings.dicomweb_http)
    if not {"StudyDate", "StudyInstanceUID"} & address.filters.keys():
        raise DataError(f"Expected StudyDate or StudyInstanceUID, without which all would be fetched: {FORM}.")
    archive = Archive(address)
    found = archive.find(settings.dicom_modalities)
    if not found:
        raise DataError(
            f"Expected radiographs ({', '.join(settings.dicom_modalities)}) of the chest in {address.shown}, but none"
            " match: check the dates and other filters of the address."
        )
    return address, fetch(archive, found, home, folder_of(home, url=address.url))


def folder_of(home: Path, **what: str) -> Path:
    """Where copies of an archive's images are kept; house-keeping deletes those that are not used for long."""
    return home / "cache" / "dicomweb" / stage_key("dicomweb", **what)


def fetch(archive: Archive, instances: Sequence[Instance], home: Path, folder: Path) -> list[Fetched]:
    """Copies of images in a folder, in their order, some fetched at the same time.

    Raises:
        ArchiveError: the archive cannot be used any more; what has been fetched is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    secret = patient_secret(home)

    def one(instance: Instance) -> Fetched:
        # A UID leads to the patient for whoever can ask the archive, so that no path has one.
        file = folder / f"{pseudonym('dicomweb', instance.uid, secret)}.dcm"
        try:
            if not is_kept(file):
                archive.fetch(instance, file)
        except ArchiveError:
            raise
        except DataError as error:
            return Fetched(instance, file, str(error))
        return Fetched(instance, file)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(one, instances))
