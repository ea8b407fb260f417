"""The registered model, logged by MLflow as code: images or embeddings in, probability of pneumonia out.

MLflow runs this file when the model is logged and when it is loaded; the artifact `bundle` holds the weights.
"""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumo.errors import ModelError
from pneumo.serving.bundle.embedding_bundle import EmbeddingBundle
from pneumo.serving.bundle.image_bundle import Bundle, load_bundle
from pneumo.serving.bundle.score_table import score_cells
from pneumo.tracking.pyfunc import PythonModel, set_model

if TYPE_CHECKING:
    import pandas as pd


class Classifier(PythonModel):
    """Input: a data frame with a column `image` (see pneumo.serving.bundle.inputs), JPEG, PNG or DICOM.

    A model of embeddings made elsewhere takes a column `embedding` instead, with lists of numbers.

    Output: a row for each image with probability (0 to 1, None if unreadable), label, error (None or a sentence) and
    out_of_distribution (true if the image is unlike the training images, so that its probability means little).
    `params={"uncertain": True}` adds uncertain: whether another label is possible, by conformal prediction.
    """

    bundle: Bundle | EmbeddingBundle

    def load_context(self, context: Any) -> None:
        """Check and load the bundle, once in a process."""
        self.bundle = load_bundle(Path(context.artifacts["bundle"]))

    def predict(
        self, context: Any, model_input: "pd.DataFrame", params: dict[str, Any] | None = None
    ) -> "pd.DataFrame":
        """Score every row; `params={"threshold": 0.3}` sets another threshold of the label than the model's own."""
        import pandas as pd

        wanted = self.bundle.spec.input
        if wanted not in model_input.columns:
            raise ModelError(f"Expected a column {wanted}, got the columns {', '.join(map(str, model_input.columns))}.")
        table = score_cells(
            self.bundle, model_input[wanted].tolist(), _threshold(params), _uncertain(params, self.bundle)
        )
        if table["error"].isna().all():
            return table
        # MLflow's server would write NaN, which is not JSON.
        plain = [None if isnan(value) else value for value in table["probability"]]
        return table.assign(probability=pd.Series(plain, dtype=object))


def _uncertain(params: dict[str, Any] | None, bundle: Bundle | EmbeddingBundle) -> bool:
    asked = bool((params or {}).get("uncertain"))
    if asked and bundle.spec.conformal is None:
        raise ModelError(
            "Expected a model that knows its conformal limits, but this one has none: leave out uncertain."
        )
    return asked


def _threshold(params: dict[str, Any] | None) -> float | None:
    """The threshold in the parameters; None means the model's own."""
    value = (params or {}).get("threshold")
    if value is None:
        return None
    if not 0 <= float(value) <= 1:
        raise ModelError(f"Expected a threshold in 0..1, got {value}.")
    return float(value)


set_model(Classifier())
