"""What cannot be read, or would not be read, is refused in a sentence."""

import pytest

from pneumo.errors import SettingsError
from pneumo.settings import load_settings


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PNEUMO_HOME", raising=False)

    def read(content=b""):
        (tmp_path / "mlflow.yaml").write_bytes(content)
        return load_settings()

    return read


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"promotion: [1, 2", r"Expected YAML in mlflow.yaml, but expected ',' or ']'.* in line 1: correct it\."),
        (b"promotion:\n\tminimum_auc: 0.8", r"Expected YAML in mlflow.yaml, but found character '\\t'.* in line 2"),
        (b"registry: {model: \xff}", r"Expected YAML in mlflow.yaml, but it is not in UTF-8"),
        (b"- promotion", r"Expected sections in mlflow.yaml, such as `promotion:`, found none"),
        (b"minimum_auc", r"Expected sections in mlflow.yaml"),
        (b"1: 2", r"Expected sections in mlflow.yaml"),
    ],
)
def test_a_file_that_is_no_yaml_with_sections_is_refused(read, content, words):
    with pytest.raises(SettingsError, match=words):
        read(content)


def test_an_empty_file_has_the_defaults(read):
    assert read(b"# nothing\n").promotion.minimum_auc == 0.9


@pytest.mark.parametrize(
    "content",
    [b"promotion: {minimum_auc: 0.97}\nserve: {}\npromotion: {approval: true}", b"watch:\n  drift: 1\n  drift: 2"],
)
def test_a_key_that_is_there_twice_is_refused_since_the_first_would_count_for_nothing(read, content):
    with pytest.raises(SettingsError, match=r"each key of mlflow.yaml once, found `(promotion|drift)` in line 3"):
        read(content)


@pytest.mark.parametrize("name", ["EXTERNAL", "DATA__COLUMNS"])
def test_a_list_in_the_environment_that_is_no_json_is_refused_without_repeating_it(read, monkeypatch, name):
    monkeypatch.setenv(f"PNEUMO_{name}", "/scans/Mustermann")
    with pytest.raises(SettingsError, match=f'Expected JSON .*"{name.partition("__")[0].lower()}"') as caught:
        read()
    assert "Mustermann" not in str(caught.value)


def test_a_variable_that_would_not_count_is_refused_by_name(read, monkeypatch):
    """Whoever sets it believes that the gate is stricter now."""
    monkeypatch.setenv("PNEUMO_PROMOTION_MINIMUM_AUC", "0.97")
    with pytest.raises(SettingsError, match=r"Expected PNEUMO_PROMOTION__MINIMUM_AUC .* found PNEUMO_PROMOTION_MIN"):
        read()
    monkeypatch.delenv("PNEUMO_PROMOTION_MINIMUM_AUC")
    monkeypatch.setenv("PNEUMO_PROMOTIONS__MINIMUM_AUC", "0.97")
    with pytest.raises(SettingsError, match=r"variable PNEUMO_PROMOTIONS__MINIMUM_AUC, but none of home, tracking,"):
        read()


def test_secrets_and_the_variables_that_kubernetes_makes_for_a_service_are_not_meant(read, monkeypatch):
    for name in ("SERVE_TOKEN", "NOTIFY_WEBHOOK", "SERVE_SERVICE_PORT", "SERVE_PORT_5001_TCP_ADDR"):
        monkeypatch.setenv(f"PNEUMO_{name}", "5001")
    monkeypatch.setenv("PNEUMO_SERVE_PORT", "tcp://10.0.0.1:5001")
    assert read().serve.port == 5001
