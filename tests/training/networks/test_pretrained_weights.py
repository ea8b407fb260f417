import shutil

import boto3
import numpy as np
import pytest

from pneumo.errors import WeightsError
from pneumo.training.candidates.spec import candidate_specs
from pneumo.training.networks import pretrained_weights as module
from pneumo.training.networks.pretrained_weights import identity, load_backbone, locate

FILE = "MobileNet_0.25_224_no_top.weights.h5"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def bucket(s3_server, weights, upload, monkeypatch):
    """The weights as objects below a prefix, and the server's address in the settings."""
    monkeypatch.setenv("PNEUMO_DATA__S3_ENDPOINT", s3_server)
    upload(weights, "models/weights")
    return boto3.client("s3", endpoint_url=s3_server)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


def test_weights_of_a_folder_are_in_the_backbone(make_spec, weights, home):
    from pneumo.training.networks.backbones import build

    expected = build("MobileNet", 0.25, 32)
    expected.load_weights(weights / FILE)
    assert same(load_backbone(make_spec(), home), expected)


@pytest.mark.parametrize("name", ["MobileNet_0.25_no_top.weights.h5", "MobileNet_0.25_160_no_top.weights.h5"])
def test_a_file_without_a_size_or_of_another_one_will_do(make_spec, weights, tmp_path, home, name):
    shutil.copy(weights / FILE, tmp_path / name)
    assert locate(make_spec().backbone, str(tmp_path), 32, home).name == name


@pytest.mark.parametrize(("size", "learned"), [(96, 128), (128, 128), (170, 160), (176, 192), (224, 224), (512, 224)])
def test_of_several_files_the_one_is_taken_that_was_learned_at_the_nearest_size(
    make_spec, tmp_path, home, size, learned
):
    for known in (128, 160, 192, 224):
        (tmp_path / f"MobileNet_0.25_{known}_no_top.weights.h5").touch()
    (tmp_path / "MobileNet_0.25_no_top.weights.h5").touch()
    assert locate(make_spec().backbone, str(tmp_path), size, home).name == f"MobileNet_0.25_{learned}_no_top.weights.h5"


@pytest.mark.parametrize(("size", "taken"), [(160, "160"), (176, "1.0_192"), (190, "1.0_192"), (224, "1.0_224")])
def test_the_nearest_size_wins_whether_the_name_tells_the_width_or_not(tmp_path, home, size, taken):
    """Width 1.0 is the one that Keras's own files do not name."""
    for known in ("160", "1.0_192", "192", "1.0_224", "1.0"):
        (tmp_path / f"MobileNetV2_{known}_no_top.weights.h5").touch()
    (tmp_path / "MobileNetV2_no_top.weights.h5").touch()
    (backbone,) = (spec.backbone for spec in candidate_specs("MobileNetV2:1.0", str(tmp_path), size, 1))
    assert locate(backbone, str(tmp_path), size, home).name == f"MobileNetV2_{taken}_no_top.weights.h5"


def test_a_missing_file_is_named(make_spec, tmp_path, home):
    (tmp_path / "MobileNet_0.5_224_no_top.weights.h5").touch()
    with pytest.raises(WeightsError, match=r"MobileNet 0\.25 in .*MobileNet_0\.25"):
        load_backbone(make_spec(weights=str(tmp_path)), home)


def test_a_missing_folder_is_never_a_random_start(make_spec, tmp_path, home):
    with pytest.raises(WeightsError, match="no-such"):
        load_backbone(make_spec(weights=str(tmp_path / "no-such")), home)


def test_weights_of_another_backbone_do_not_fit(make_spec, tmp_path, home):
    from pneumo.training.networks.backbones import build

    build("MobileNet", 0.5, 32).save_weights(tmp_path / FILE)
    with pytest.raises(WeightsError, match="do not fit"):
        load_backbone(make_spec(weights=str(tmp_path)), home)


def test_weights_that_are_no_numbers_are_told(make_spec, tmp_path, home):
    from pneumo.training.networks.backbones import build

    model = build("MobileNet", 0.25, 32)
    model.set_weights([values * np.nan for values in model.get_weights()])
    model.save_weights(tmp_path / FILE)
    with pytest.raises(WeightsError, match=f"Expected numbers in .*{FILE}, found NaN"):
        load_backbone(make_spec(weights=str(tmp_path)), home)


@pytest.mark.parametrize("content", [b"", b"not a weight file"])
def test_a_damaged_file_is_told(make_spec, tmp_path, home, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(WeightsError, match="do not fit"):
        load_backbone(make_spec(weights=str(tmp_path)), home)


def test_without_a_network_keras_own_weights_are_an_error(make_spec, home, monkeypatch):
    import keras

    def offline(*_, **__):
        raise Exception("URL fetch failure on storage.googleapis.com: None -- name not resolved")  # as Keras does

    monkeypatch.setattr(keras.applications, "MobileNet", offline)
    with pytest.raises(WeightsError, match=r"URL fetch failure.*folder"):
        load_backbone(make_spec(weights="imagenet"), home)


def test_the_identity_is_the_content_wherever_it_lies(make_spec, weights, tmp_path, home):
    shutil.copy(weights / FILE, tmp_path)
    assert identity(make_spec(), home) == identity(make_spec(weights=str(tmp_path)), home)
    (tmp_path / FILE).write_bytes(b"other")
    assert identity(make_spec(), home) != identity(make_spec(weights=str(tmp_path)), home)


def test_weights_of_a_bucket_are_the_same_weights(make_spec, bucket, home):
    spec = make_spec(weights="s3://hospital/models/weights")
    assert identity(spec, home) == identity(make_spec(), home)
    assert same(load_backbone(spec, home), load_backbone(make_spec(), home))


def test_weights_of_a_bucket_are_fetched_once_and_again_when_they_changed(make_spec, bucket, home, monkeypatch):
    spec, fetched, save = make_spec(weights="s3://hospital/models/weights/"), [], module.Bucket.save
    monkeypatch.setattr(module.Bucket, "save", lambda self, key, *args: fetched.append(key) or save(self, key, *args))
    before = identity(spec, home)
    assert identity(spec, home) == before
    assert fetched == [f"models/weights/{FILE}"]
    bucket.put_object(Bucket="hospital", Key=f"models/weights/{FILE}", Body=b"newer")
    assert identity(spec, home) != before


def test_damage_on_the_way_is_an_error_and_leaves_nothing(make_spec, bucket, home, monkeypatch):
    save = module.Bucket.save
    monkeypatch.setattr(module.Bucket, "save", lambda self, *args: (save(self, *args)[0], "?" * 32))
    with pytest.raises(WeightsError, match="damages data"):
        identity(make_spec(weights="s3://hospital/models/weights"), home)
    assert not list(home.rglob("*.h5"))


@pytest.mark.parametrize(
    ("address", "words"),
    [("s3://hospital/nothing", "found no file MobileNet_0.25"), ("s3://no-such-bucket/models", "NoSuchBucket")],
)
def test_a_bucket_without_the_weights_is_told(make_spec, bucket, home, address, words):
    with pytest.raises(WeightsError, match=words):
        identity(make_spec(weights=address), home)
