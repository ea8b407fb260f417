"""A dataset version as MLflow shows it, whole and its test images: name, digest, source, columns and counts."""

import json
from typing import TYPE_CHECKING, Any

from pneumo.records.data import DatasetVersion

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

LONGEST_NAME, LONGEST_DIGEST = 500, 36  # characters that MLflow's columns hold
TEST = "test"


def dataset_inputs(version: DatasetVersion) -> "list[DatasetInput]":
    """The input records of a run on this version: the whole, for training, and its test images, for evaluation."""
    whole = {"num_rows": version.images, "counts": version.counts}
    test = version.counts.get(TEST, {})
    return [
        _input(version, version.source, "training", whole),
        _input(version, test_name(version), "evaluation", {"num_rows": sum(test.values()), "counts": test}),
    ]


def test_name(version: DatasetVersion) -> str:
    """What the test images of a version are called in MLflow."""
    return f"{version.source[: LONGEST_NAME - len(TEST) - 1]} {TEST}"


def digest_in_mlflow(version: DatasetVersion) -> str:
    """As much of a version's digest as MLflow keeps of a data set's."""
    return version.digest[:LONGEST_DIGEST]


def _input(version: DatasetVersion, name: str, context: str, counted: dict[str, Any]) -> "DatasetInput":
    import pyarrow.parquet
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns = [{"name": item.name, "type": str(item.type)} for item in pyarrow.parquet.read_schema(version.manifest)]
    dataset = Dataset(
        name=name[:LONGEST_NAME],
        digest=digest_in_mlflow(version),
        source_type="local",
        source=json.dumps({"uri": str(version.manifest)}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(counted | {"synthetic": version.synthetic}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
