"""What a scoring has done until now, in a file beside its table, by which it continues after a cut."""

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pneumo.serving.fresh_process.client import Answer

Row = dict[str, Any]


def begun(kept: Path) -> tuple[str, dict[str, Row]]:
    """Name of a scoring, and the answers that it has by sha256; one that an older pneumo began has a name from now."""
    lines = _whole_lines(kept)
    names = [line["scoring"] for line in lines if "scoring" in line]
    if not names:
        names = [uuid.uuid4().hex]
        _write(kept, [{"scoring": names[0]}])
    rows = {line["sha256"]: line["answer"] for line in lines if "sha256" in line}
    return names[0], {key: Answer.model_validate(row).model_dump() for key, row in rows.items()}


def append(kept: Path, answers: Mapping[str, Row]) -> None:
    """Write answers by sha256; they are on the disk when this returns."""
    _write(kept, [{"sha256": key, "answer": row} for key, row in answers.items()])


def _write(kept: Path, lines: Sequence[Row]) -> None:
    with kept.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(kept: Path) -> list[Row]:
    """Lines of a scoring that was cut off; a last one that is not complete is removed from the file."""
    if not kept.is_file():
        return []
    whole = kept.read_bytes().rpartition(b"\n")[0]
    kept.write_bytes(whole + b"\n" if whole else b"")
    return [json.loads(line) for line in whole.splitlines()]
