"""The command line: short sentences, tables, `--json` for scripts.

Exit codes: 0 done (also a run that promotes nothing), 1 an expected error in one sentence, 2 wrong usage, 130
interrupted.
"""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from pneumo.cli import (
    acceptance,
    answers_and_feedback,
    approval,
    corrections,
    data,
    registry,
    services,
    serving,
    train,
    upkeep,
)
from pneumo.errors import PneumoError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
PARTS = (
    train, data, corrections, services, registry, approval, acceptance, serving, answers_and_feedback, upkeep,
)  # fmt: skip
for part in PARTS:
    app.registered_commands += part.app.registered_commands


def main() -> None:
    """Run the command line; an expected error is one sentence and exit code 1."""
    try:
        app()
    except PneumoError as error:
        Console(stderr=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
