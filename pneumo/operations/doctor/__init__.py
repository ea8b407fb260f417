"""`pneumo doctor`: checks in seconds all that a run needs, and says what to do about whatever is wrong."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from pneumo.errors import PneumoError, ServiceError
from pneumo.operations import estimate
from pneumo.operations.doctor import machine, servers
from pneumo.operations.doctor.row import Row
from pneumo.settings import Settings

Check = Callable[[Settings], Row]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("packages", machine.packages),
    ("Prefect server", servers.prefect_server),
    ("worker", servers.worker),
    ("deployments", servers.deployments),
    ("MLflow server", servers.mlflow_server),
    ("MLflow database", servers.mlflow_database),
    ("artifacts through MLflow", servers.artifacts_through_mlflow),
    ("artifacts directly", servers.artifacts_directly),
    ("S3 for data", servers.data_storage),
    ("Prefect's results", servers.prefect_results),
    ("weights", machine.weights),
    ("disk", machine.disk),
    ("memory", machine.memory),
    ("GPU", machine.gpu),
    ("clock", machine.clock),
)


def examine(settings: Settings, checks: Sequence[tuple[str, Check]] = CHECKS) -> tuple[Row, ...]:
    """Run all checks at the same time; one that raises becomes a failed row with its message."""
    with ThreadPoolExecutor(len(checks)) as pool:
        return tuple(pool.map(lambda check: _examined(check[0], check[1], settings), checks))


def require(rows: Sequence[Row]) -> None:
    """Raise if a check failed; warnings pass.

    Raises:
        ServiceError: names each failed check and what to do about it.
    """
    failed = [f"{row.what}: {row.found} ({row.advice})" for row in rows if row.state == "failed"]
    if failed:
        raise ServiceError(f"Expected all that a run needs, but {'; '.join(failed)}. `pneumo doctor` shows the rest.")


def require_space(needed: int, home: Path) -> None:
    """Stop if the disk cannot hold what a run will write.

    Raises:
        ServiceError: says how much is needed and how much is free.
    """
    free = machine.free_bytes(home)
    if free < needed:
        raise ServiceError(
            f"Expected {needed / estimate.GIB:.1f} GiB free for this run in {home}, but there are "
            f"{free / estimate.GIB:.1f}: free space, look at `pneumo clean`, or move the state folder with PNEUMO_HOME."
        )


def _examined(what: str, check: Check, settings: Settings) -> Row:
    row = partial(Row, what=what)
    try:
        return check(settings).model_copy(update={"what": what})
    except PneumoError as error:
        found, _, advice = str(error).rpartition(": ")
        return row(state="failed", found=found or str(error), advice=advice if found else "see `pneumo status`")
