"""Estimate the disk and memory that a run needs, before it starts."""

from collections.abc import Sequence

GIB, MIB = 2**30, 2**20
KEPT = 224 * 224  # bytes that ingest keeps of each image
FEATURES = 2 * 2 * 2048 * 4  # bytes for each image: two views, two splits, float32 of the widest backbone
# A model is written as the result, to a checkpoint as network, best weights and optimizer (twice its size), to its
# serving bundle, and to MLflow's store.
COPIES = 7
EXTRA = 200 * MIB  # reports, figures, databases, logs
# Size of the weight file in MB as on keras.io/api/applications; the largest of a family stands for the others.
MODEL_MB = {
    "MobileNet": 16, "MobileNetV2": 14, "MobileNetV3Small": 12, "MobileNetV3Large": 22, "NASNetMobile": 23,
    "EfficientNetB0": 29, "EfficientNetB1": 31, "EfficientNetB2": 36, "EfficientNetB3": 48, "EfficientNetB4": 75,
    "EfficientNetV2B0": 29, "EfficientNetV2B1": 34, "EfficientNetV2B2": 42, "EfficientNetV2B3": 59,
    "DenseNet121": 33, "DenseNet169": 57, "DenseNet201": 80, "ResNet50": 98, "ResNet50V2": 98, "Xception": 88,
    "InceptionV3": 92,
}  # fmt: skip
LARGE_MB = 250


def disk(images: int, size: int, backbones: Sequence[str], folds: int = 1) -> int:
    """Most bytes that a run on new data writes.

    Args:
        images: number in the data set.
        size: pixels a side.
        backbones: names of keras.applications, with or without a width.
        folds: number of networks of each.
    """
    pixels = images * (KEPT + size * size)
    models = sum(MODEL_MB.get(name.replace(":", " ").split(" ")[0], LARGE_MB) for name in backbones)
    networks = 2 * COPIES * models * MIB  # twice, for the ensemble
    return EXTRA + pixels + folds * (images * FEATURES * len(backbones) + networks)


def memory(size: int) -> int:
    """Bytes of memory for one training of a small backbone with batches of 32, including imports."""
    return int((1.5 + 2.5 * (size / 224) ** 2) * GIB)
