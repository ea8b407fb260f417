"""Run the measurements, print a table, and write their rows as JSON under bench/results/."""

import argparse
import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RESULTS = HERE / "results"
WIDE = 160  # of what is written to a file, where rich would take 80


def names() -> list[str]:
    """Measurements: every module here with a function `rows`, but for those that take too long to be run unasked."""
    texts = {file.stem: file.read_text() for file in HERE.glob("[!_]*.py")}
    return sorted(name for name, text in texts.items() if "def rows(" in text and "ON_REQUEST = True" not in text)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import psutil

    memory = round(psutil.virtual_memory().total / 2**30)
    return {"cores": os.cpu_count(), "memory_gib": memory, "python": platform.python_version(), "cpu": _cpu()}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def measure(name: str) -> list[dict[str, Any]]:
    """Rows of one measurement, kept in bench/results/<name>.json."""
    rows: list[dict[str, Any]] = importlib.import_module(f"bench.{name}").rows()
    RESULTS.mkdir(exist_ok=True)
    kept = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n")
    return rows


def main() -> None:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="which; all by default")
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    for name in parser.parse_args().names or names():
        console.print(table(name, measure(name)))


def table(name: str, rows: list[dict[str, Any]]) -> Table:
    """Rows as a table; a column for each key that any of them has."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    found = Table(*columns, title=name, title_justify="left", box=None)
    for row in rows:
        values = (row.get(column, "") for column in columns)
        found.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values))
    return found


if __name__ == "__main__":
    main()
