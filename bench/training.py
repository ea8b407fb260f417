"""Against the recipe of Keras's own transfer-learning guide: time until its final validation AUC is reached.

Both sides see the same images, split by patient, on the same cores, each in a process of its own that is timed from its
start. The recipe: image_dataset_from_directory, augmentation layers, frozen MobileNetV2 for 10 epochs, then 5 epochs of
fine-tuning at 1e-5. Ours: frozen features of MobileNetV3Small and a linear head, from the folder of images to a model
on disk that is scored on validation images, clean and shifted.

PNEUMO_BENCH_SHARE=0.1 takes a share of the images and PNEUMO_BENCH_EPOCHS=1,1 other epochs, to see that it runs.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

SHARED = Path(__file__).parents[2] / "shared"
SIZE, BATCH = 224, 32
Row = dict[str, Any]


def rows() -> list[Row]:
    """Both times and their ratio, or nothing where the images or weights are not to be had."""
    if not (SHARED / "data/chest_xray").is_dir():
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = measured("prepare", folder)["images"]
        ours = measured("ours", folder)
        recipe = measured("recipe", folder)
    target = recipe["auc"][-1]
    seconds = ours["seconds"] if ours["auc"][-1] >= target else float("nan")
    return [
        {"name": "recipe of the Keras guide", "value": recipe["seconds"], "unit": "s",
         "note": f"{images} images for training and validation"},
        {"name": "its final validation AUC", "value": target, "note": f"best of an epoch {max(recipe['auc']):.4f}"},
        {"name": "pneumo, until it is reached", "value": seconds, "unit": "s", "note": "imports and decoding too"},
        {"name": "its validation AUC", "value": ours["auc"][-1]},
        {"name": "recipe / pneumo", "value": recipe["seconds"] / seconds, "unit": "times", "note": "goal: 30 or more"},
    ]  # fmt: skip


def measured(side: str, folder: Path) -> dict[str, Any]:
    """Seconds of a fresh process, and what it printed last."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "bench.training", side, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**answer, "seconds": time.monotonic() - begun}


def prepare(folder: Path) -> dict[str, Any]:
    """Split the images by patient, for both: links split/label/file as `image_dataset_from_directory` wants them."""
    from pneumo.data.quality.gate import validate
    from pneumo.data.sources.schemes import ingest
    from pneumo.data.store.versions import keep_version, make_version
    from pneumo.settings import Settings

    settings = Settings(home=folder / "prepared")
    inventory = ingest(str(SHARED / "data/chest_xray"), settings.home, settings.data)
    whole = make_version(inventory, validate(inventory, settings.home, settings.gate, None), settings.home)
    manifest = pd.read_parquet(whole.manifest)
    share = float(os.environ.get("PNEUMO_BENCH_SHARE", "1"))
    manifest = manifest.groupby(["split", "label"]).sample(frac=share, random_state=0).sort_values("path")
    version = keep_version(manifest.reset_index(drop=True), whole.source, False, whole.root, settings.home)
    (folder / "version.json").write_text(version.model_dump_json())
    used = manifest[manifest["split"] != "test"]
    for row in used.itertuples():
        place = folder / "folders" / row.split / row.label
        place.mkdir(parents=True, exist_ok=True)
        (place / Path(row.path).name).symlink_to(version.root / row.path)
    return {"images": len(used)}


def ours(folder: Path) -> dict[str, Any]:
    """From image files to a model on disk that is scored on validation images, clean and shifted."""
    from pneumo.data.store.image_store import decode_all
    from pneumo.records.data import DatasetVersion
    from pneumo.training.candidates.candidate import train
    from pneumo.training.candidates.spec import candidate_specs

    version, home = DatasetVersion.model_validate_json((folder / "version.json").read_text()), folder / "home"
    store = decode_all(version, home, SIZE, "squash")
    spec = candidate_specs("MobileNetV3Small", str(SHARED / "weights"), SIZE, epochs=0, augmentation=0)[0]
    return {"auc": [train(spec, version, store, "", home).validation_auc]}


def recipe(folder: Path) -> dict[str, Any]:
    """The guide's recipe, as its readers run it; no figure of it is ours."""
    import keras

    frozen, tuned = (int(part) for part in os.environ.get("PNEUMO_BENCH_EPOCHS", "10,5").split(","))
    data = {
        split: keras.utils.image_dataset_from_directory(
            folder / "folders" / split, label_mode="binary", image_size=(SIZE, SIZE), batch_size=BATCH, verbose=False
        ).prefetch(4)
        for split in ("train", "validation")
    }
    base = keras.applications.MobileNetV2(input_shape=(SIZE, SIZE, 3), include_top=False, weights=None)
    base.load_weights(SHARED / "weights/MobileNetV2_1.0_224_no_top.weights.h5")
    base.trainable = False
    image = keras.Input((SIZE, SIZE, 3))
    changed = keras.layers.RandomRotation(0.1)(keras.layers.RandomFlip("horizontal")(image))
    features = base(keras.layers.Rescaling(1 / 127.5, -1)(changed), training=False)
    pooled = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(features))
    model = keras.Model(image, keras.layers.Dense(1)(pooled))
    curve: list[float] = []
    for rate, epochs in ((1e-3, frozen), (1e-5, tuned)):
        base.trainable = rate < 1e-3
        model.compile(
            keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[keras.metrics.AUC(from_logits=True, num_thresholds=2000, name="auc")],
        )  # fmt: skip
        fitted = model.fit(data["train"], validation_data=data["validation"], epochs=epochs, verbose=0)
        curve += fitted.history["val_auc"]
    return {"auc": curve}


if __name__ == "__main__":
    side = {"prepare": prepare, "ours": ours, "recipe": recipe}[sys.argv[1]]
    print(json.dumps(side(Path(sys.argv[2]))))
