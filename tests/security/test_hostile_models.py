"""Models, weights and checkpoints, broken on purpose: they are loaded or refused with an error of ours."""

import contextlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings

from pneumo.errors import ModelError, PneumoError, WeightsError
from tests.security.broken import BUDGET, broken, fuzz


@pytest.fixture(scope="module")
def saved(scratch):
    """A tiny network as a .keras file and its weights as .h5."""
    import keras

    image = keras.Input((8, 8, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(image))
    model = keras.Model(image, keras.layers.Dense(1, name="logit")(pooled))
    model.save(scratch / "model.keras")
    model.save_weights(scratch / "model.weights.h5")
    return model, (scratch / "model.keras").read_bytes(), (scratch / "model.weights.h5").read_bytes()


def test_a_model_file_is_loaded_or_refused(saved, scratch):
    from pneumo.serving.bundle.image_bundle import load_network

    _, whole, _ = saved

    @settings(fuzz, max_examples=max(BUDGET // 2, 20))
    @given(broken(whole))
    def load(data):
        (scratch / "broken.keras").write_bytes(data)
        with contextlib.suppress(ModelError):
            load_network(scratch / "broken.keras")

    load()


def test_a_model_file_with_another_configuration_is_loaded_or_refused(saved, scratch):
    """What a bit cannot reach: the text inside the archive, changed and packed again."""
    from pneumo.serving.bundle.image_bundle import load_network

    _, whole, _ = saved
    with zipfile.ZipFile(io.BytesIO(whole)) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}

    @settings(fuzz, max_examples=max(BUDGET // 2, 20))
    @given(broken(members["config.json"]))
    def load(text):
        with zipfile.ZipFile(scratch / "changed.keras", "w") as packed:
            for name, content in members.items():
                packed.writestr(name, text if name == "config.json" else content)
        with contextlib.suppress(ModelError):
            load_network(scratch / "changed.keras")

    load()


def test_a_weight_file_is_loaded_or_refused(saved, scratch, monkeypatch):
    from pneumo.training.candidates.spec import CandidateSpec, parse_backbones
    from pneumo.training.networks import pretrained_weights

    model, _, whole = saved
    monkeypatch.setattr(pretrained_weights, "build", lambda *_args, **_named: model)
    (scratch / "weights").mkdir()
    spec = CandidateSpec(backbone=parse_backbones("MobileNet:0.25")[0], weights=str(scratch / "weights"), size=32)

    @settings(fuzz, max_examples=max(BUDGET // 2, 20))
    @given(broken(whole))
    def load(data):
        (scratch / "weights/MobileNet_0.25_no_top.weights.h5").write_bytes(data)
        with contextlib.suppress(WeightsError):
            pretrained_weights.load_backbone(spec, scratch)

    load()


def test_a_checkpoint_is_loaded_or_refused(scratch):
    from pneumo.training.process import checkpoint

    checkpoint.save(scratch / "checkpoint.npz", {"network": [np.arange(6.0)]}, {"epoch": 1})
    whole = (scratch / "checkpoint.npz").read_bytes()

    @fuzz
    @given(broken(whole))
    def load(data):
        (scratch / "checkpoint.npz").write_bytes(data)
        with contextlib.suppress(PneumoError):
            checkpoint.load(scratch / "checkpoint.npz")

    load()
