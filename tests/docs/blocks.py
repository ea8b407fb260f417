"""The blocks of code in the documentation."""

import re
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
FILES = [
    PROJECT / "README.md",
    PROJECT / "README.fr.md",
    PROJECT / "CONTRIBUTING.md",
    PROJECT / "infra" / "README.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    file: str
    language: str
    text: str


def blocks() -> list[Block]:
    return [
        Block(file.relative_to(PROJECT).as_posix(), language, text)
        for file in FILES
        for language, text in BLOCK.findall(file.read_text(encoding="utf-8"))
    ]


def commands(*programs: str) -> list[tuple[str, str]]:
    """File and line of every command of these programs, in blocks and in running text, without comments."""
    begins = re.compile(rf"^(?:[A-Z_]+=\S* )*({'|'.join(programs)}) ")
    lines = [(block.file, line) for block in blocks() for line in block.text.replace("\\\n", " ").splitlines()]
    for file in FILES:
        name = file.relative_to(PROJECT).as_posix()
        lines += [(name, found) for found in re.findall(r"`([^`\n]+)`", BLOCK.sub("", file.read_text()))]
    plain = [(file, line.partition("  #")[0].partition(" # ")[0].strip()) for file, line in lines]
    return sorted({(file, line) for file, line in plain if begins.match(line)})
