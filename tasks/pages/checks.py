"""Pages on the machine: what the checks before the work found, and what house-keeping did."""

from collections.abc import Sequence

from prefect.artifacts import create_table_artifact

from pneumo.operations.doctor.row import Row
from pneumo.operations.retention.item import Item


def doctor_table(rows: Sequence[Row]) -> None:
    """Table of the checks before the work, with what to do."""
    create_table_artifact(key="doctor", table=[row.model_dump() for row in rows], description="Checks before the work.")


def clean_table(items: Sequence[Item]) -> None:
    """Table of what house-keeping found."""
    create_table_artifact(key="clean", table=[item.model_dump() for item in items], description="Old and not needed.")
