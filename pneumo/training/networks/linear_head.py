"""The linear head on frozen features: logistic regression, loaded into the network's Dense layer."""

from typing import Any

import numpy as np

from pneumo.errors import TrainingError

REGULARISATION = (0.001, 0.01, 0.1)  # inverses of the regularisation to try; validation chooses


def fit_head(features: np.ndarray, targets: np.ndarray, validation: np.ndarray, truth: np.ndarray) -> tuple[Any, Any]:
    """Fit logistic regression on standardised features with balanced classes; validation AUC chooses its C.

    Args:
        features: float32 (n, d) of the training images; `validation` likewise.
        targets: 0 or 1 (n,); `truth` likewise for validation.

    Returns:
        kernel float32 (d, 1) and bias float32 (1,) for features that are not standardised.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    if not np.isfinite(features).all():
        raise TrainingError("Expected finite features of the frozen backbone, got NaN or infinity: check its weights.")
    scaler = StandardScaler().fit(features)
    inputs, held_out = scaler.transform(features), scaler.transform(validation)
    fits = [LogisticRegression(C=c, class_weight="balanced", max_iter=300).fit(inputs, targets) for c in REGULARISATION]
    best = max(fits, key=lambda fit: roc_auc_score(truth, fit.decision_function(held_out)))
    kernel = best.coef_[0] / scaler.scale_
    bias = best.intercept_ - kernel @ scaler.mean_
    return kernel[:, None].astype("float32"), bias.astype("float32")
