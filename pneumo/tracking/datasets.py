"""A dataset version as MLflow shows it: name, digest, source, columns and counts."""

import json
from typing import TYPE_CHECKING

from pneumo.records.data import DatasetVersion

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

LONGEST_NAME, LONGEST_DIGEST = 500, 36  # characters that MLflow's columns hold


def dataset_input(version: DatasetVersion) -> "DatasetInput":
    """The record of a run's input; its source is the manifest."""
    import pyarrow.parquet
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns = [{"name": item.name, "type": str(item.type)} for item in pyarrow.parquet.read_schema(version.manifest)]
    profile = {"num_rows": version.images, "counts": version.counts, "synthetic": version.synthetic}
    dataset = Dataset(
        name=version.source[:LONGEST_NAME],
        digest=version.digest[:LONGEST_DIGEST],
        source_type="local",
        source=json.dumps({"uri": str(version.manifest)}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
