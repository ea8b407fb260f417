"""A data set of tiny image files for promotion: its rows, and the version made of them."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pneumo.records.data import DatasetVersion


def draw_data(root: Path, images: int = 200, first: int = 0) -> DatasetVersion:
    """Two images a patient; half of the patients have pneumonia, which is brighter; splits 1/4, 1/4, 1/2."""
    rows = []
    root.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + images):
        random, patient = np.random.default_rng(number), number // 2
        sick = patient % 2 == 1
        pixels = random.normal(160 if sick else 96, 8, (8, 8)).clip(0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "png")
        (root / f"{number}.png").write_bytes(buffer.getvalue())
        rows.append(
            {
                "path": f"{number}.png",
                "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
                "label": "PNEUMONIA" if sick else "NORMAL",
                "subtype": ("bacteria", "virus")[patient // 2 % 2] if sick else "none",
                "patient": f"person{patient}",
                "width": 8,
                "height": 8,
                "mode": "L",
                "split": ("train", "validation", "test", "test")[patient // 2 % 4],
            }
        )
    return data_version(root, pd.DataFrame(rows))


def data_version(root: Path, rows: pd.DataFrame) -> DatasetVersion:
    """A version of these rows, whose files lie in `root`."""
    digest = hashlib.sha256(rows.to_csv().encode()).hexdigest()
    manifest = root / f"{digest[:8]}.parquet"
    rows.to_parquet(manifest)
    counts = {
        str(split): {str(label): int(count) for label, count in part["label"].value_counts().items()}
        for split, part in rows.groupby("split")
    }
    return DatasetVersion(
        digest=digest, source="folder", synthetic=False, root=root, manifest=manifest, images=len(rows), counts=counts
    )
