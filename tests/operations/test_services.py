"""The start of the embedded services, with small programs in their place."""

import sys
from contextlib import ExitStack
from pathlib import Path

from pneumo.operations import processes, services
from pneumo.operations.embedded import Service, folder_of
from pneumo.settings import Settings

# A server that is ready once it has seen the other one begin, and gives up if that does not.
PROGRAM = """
import sys, time
from pathlib import Path
mine, other = map(Path, sys.argv[1:])
mine.touch()
deadline = time.monotonic() + 60
while not other.exists():
    if time.monotonic() > deadline:
        sys.exit("alone")
    time.sleep(0.1)
mine.with_suffix(".ready").touch()
time.sleep(600)
"""


def waiting_for(name: str, other: str, folder: Path) -> Service:
    command = (sys.executable, "-c", PROGRAM, str(folder / name), str(folder / other))
    return Service(name, command, (folder / f"{name}.ready").exists, "")


def test_servers_start_side_by_side_and_are_all_awaited(tmp_path: Path) -> None:
    settings, said = Settings(home=tmp_path), list[str]()
    pair = [waiting_for("first", "second", tmp_path), waiting_for("second", "first", tmp_path)]
    with ExitStack() as undo:
        services._start_missing(pair, settings, said.append, undo)
        assert all(service.healthy() for service in pair)
        assert [line.split()[1] for line in said] == ["first", "second"]
    assert not [service for service in pair if processes.find(folder_of(settings), service.name)]
