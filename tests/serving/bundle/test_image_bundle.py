import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pneumo.errors import ModelError
from pneumo.serving.bundle.image_bundle import MODEL, OLD_NAME, OUT_OF_DISTRIBUTION, SPEC, load_bundle
from tests.data.conftest import dicom


@pytest.fixture
def copy(bundle_folder, tmp_path):
    return shutil.copytree(bundle_folder, tmp_path / "bundle")


def test_scores_are_calibrated_probabilities_one_per_image(bundle, tiny):
    images = tiny.pictures(5)
    logits = np.asarray(bundle.model(images[..., None].astype(np.float32)))[:, 0]
    scores = bundle.score(images)
    np.testing.assert_allclose(scores.probability, 1 / (1 + np.exp(-logits / 2.0)), atol=1e-6)
    assert scores.out_of_distribution.dtype == bool and scores.distance.shape == (5,)


def test_many_batches_give_what_one_batch_gives(bundle, tiny):
    images = tiny.pictures(130)
    np.testing.assert_allclose(
        bundle.score(images).probability[64:128], bundle.score(images[64:128]).probability, atol=1e-6
    )


def test_an_image_like_none_in_training_is_flagged(bundle, tiny):
    assert not bundle.score(tiny.pictures(4, seed=5)).out_of_distribution.all()
    assert bundle.score(np.zeros((2, tiny.SIZE, tiny.SIZE), np.uint8)).out_of_distribution.all()


def test_a_bundle_with_the_names_of_an_older_pneumo_loads_and_scores_alike(copy, bundle, tiny):
    (copy / OUT_OF_DISTRIBUTION).rename(copy / OLD_NAME)
    spec = json.loads((copy / SPEC).read_text())
    (copy / SPEC).write_text(json.dumps(spec | {"familiarity_sha256": spec.pop("out_of_distribution_sha256")}))
    found, expected = load_bundle(copy).score(tiny.pictures(5)), bundle.score(tiny.pictures(5))
    assert found.out_of_distribution.tolist() == expected.out_of_distribution.tolist()


@pytest.mark.parametrize("name", [MODEL, OUT_OF_DISTRIBUTION])
def test_a_changed_file_is_refused(copy, name):
    with (copy / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match=f"{name}: expected sha256 .* the file was changed"):
        load_bundle(copy)


def test_a_missing_file_is_named(copy):
    (copy / MODEL).unlink()
    with pytest.raises(ModelError, match=r"Expected model\.keras in the bundle"):
        load_bundle(copy)


def test_a_folder_without_a_bundle_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"Expected a model bundle with serving\.json"):
        load_bundle(tmp_path)


def test_an_unknown_key_is_named(copy):
    spec = json.loads((copy / SPEC).read_text())
    (copy / SPEC).write_text(json.dumps(spec | {"colour": 1}))
    with pytest.raises(ModelError, match="key colour: extra inputs are not permitted"):
        load_bundle(copy)


def test_a_model_with_code_inside_is_refused(copy, tiny):
    import keras

    from pneumo.serving.bundle.image_bundle import load_network

    image = keras.Input((tiny.SIZE, tiny.SIZE, 1))
    keras.Model(image, keras.layers.Lambda(lambda x: x)(image)).save(copy / "evil.keras")
    with pytest.raises(ModelError, match="loads in safe mode"):
        load_network(copy / "evil.keras")


def test_a_model_scores_the_modalities_that_it_learned_and_no_others(bundle):
    pixels = np.tile(np.linspace(0, 4000, 96).astype(np.uint16), (96, 1))
    cells = [dicom(pixels, Modality="DX"), dicom(pixels, Modality="RG"), dicom(pixels, Modality="CT")]
    assert bundle.answer(cells).rows.tolist() == [0]
    learned = replace(bundle, spec=bundle.spec.model_copy(update={"modalities": ("CR", "DX", "RG")}))
    answers = learned.answer(cells)
    assert answers.rows.tolist() == [0, 1]
    assert "row 2 is of the modality CT" in answers.errors[2]
