"""What the gate says of a set, and ways to spoil one."""

from pneumo.data.quality.gate import validate
from pneumo.data.sources.schemes import ingest
from pneumo.settings.data import Data, Gate

LOOSE = Gate(quarantine_limit=0.2)

NEW = "train/NORMAL/IM-0099-0001.jpeg"


def check(root, home, settings=LOOSE, reference=None):
    report = validate(ingest(str(root), home, Data()), home, settings, reference)
    return report, {row.name: row for row in report.rows}


def patient_twice(make, root):
    make.write(root / "test/NORMAL/IM-0002-0009.jpeg", make.encoded(make.picture(5)))


def copied(make, root):
    make.write(root / "train/NORMAL/IM-0003-copy.jpeg", (root / "train/NORMAL/IM-0003-0000.jpeg").read_bytes())


def unreadable(make, root):
    make.write(root / NEW, b"not a picture")
