"""A real DICOMweb archive, Orthanc with its plug-in, and dcmtk's tools to send to it."""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
LOGIN = ("pneumo", "geheim")


@dataclass(frozen=True)
class Orthanc:
    """A running archive with a login; `address` is what pneumo is given."""

    http: int
    dicom: int

    @property
    def address(self) -> str:
        return f"dicomweb+http://127.0.0.1:{self.http}/dicom-web"

    def send(self, *files: Path) -> None:
        """Send files as a scanner does."""
        subprocess.run(["storescu", "127.0.0.1", str(self.dicom), *files], check=True, timeout=120)

    def instances(self, study: str) -> list[tuple[str, bytes]]:
        """Modality and file of each instance of a study."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.http}", auth=LOGIN, timeout=60) as client:
            query = {"Level": "Instance", "Query": {"StudyInstanceUID": study}}
            found = client.post("/tools/find", json=query).json()
            kinds = [client.get(f"/instances/{one}/tags?simplify").json()["Modality"] for one in found]
            return [
                (kind, client.get(f"/instances/{one}/file").content) for kind, one in zip(kinds, found, strict=True)
            ]


@contextlib.contextmanager
def running(folder: Path, http: int, dicom: int) -> Iterator[Orthanc]:
    """Orthanc on two ports, with its files in a folder; the test is skipped where it is not installed."""
    program = shutil.which("Orthanc")
    if not (program and PLUGIN.is_file() and shutil.which("storescu")):
        pytest.skip("no orthanc, orthanc-dicomweb and dcmtk on this machine: infra/dev/packages.sh")
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": http, "DicomPort": dicom,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": True, "RegisteredUsers": dict([LOGIN]),
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen([program, str(file)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while not _answers(http):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Orthanc did not start, see {folder}/log")
            time.sleep(0.1)
        yield Orthanc(http, dicom)
    finally:
        server.terminate()
        server.wait(60)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/system", auth=LOGIN, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
