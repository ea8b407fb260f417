"""House-keeping on a schedule."""

from prefect import flow


@flow(name="pneumonia")
def maintain() -> None:
    """Tell what is old and needed by nobody; delete it where retention.apply says so."""
