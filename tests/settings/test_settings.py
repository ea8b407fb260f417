from pathlib import Path

import pytest

from pneumo import settings
from pneumo.errors import SettingsError
from pneumo.settings import Settings, load_settings
from pneumo.settings.section import Section


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PNEUMO_HOME", raising=False)
    (tmp_path / "mlflow.yaml").write_text("promotion:\n  minimum_auc: 0.8\n")
    return tmp_path


def test_the_file_sets_and_the_environment_overrides(folder, monkeypatch):
    assert load_settings().promotion.minimum_auc == 0.8
    monkeypatch.setenv("PNEUMO_PROMOTION__MINIMUM_AUC", "0.7")
    assert load_settings().promotion.minimum_auc == 0.7


def test_an_unknown_key_is_refused_by_name(folder):
    (folder / "mlflow.yaml").write_text("promotion:\n  minimal_auc: 0.8\n")
    with pytest.raises(SettingsError, match=r"mlflow.yaml, key promotion.minimal_auc"):
        load_settings()


def test_a_value_out_of_bounds_is_refused_by_name(folder, monkeypatch):
    monkeypatch.setenv("PNEUMO_SERVICES__PREFECT_PORT", "70000")
    with pytest.raises(SettingsError, match=r"services.prefect_port.*65535"):
        load_settings()


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(case", r"patient_pattern: expected a regular expression, but '\(case' is none"),
        ("case", "but 'case' has none"),
    ],
)
def test_a_pattern_that_names_no_patient_is_refused(folder, monkeypatch, pattern, text):
    monkeypatch.setenv("PNEUMO_DATA__PATIENT_PATTERN", pattern)
    with pytest.raises(SettingsError, match=text):
        load_settings()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("TRACKING__URI", "http://admin:SECRET@mlflow:5000"),
        ("TRACKING__URI", "postgresql://mlflow:SECRET@db/mlflow"),
        ("DATA__S3_ENDPOINT", "https://SECRET@minio:9000"),
    ],
)
def test_an_address_that_holds_a_login_is_refused_without_repeating_it(folder, monkeypatch, name, address):
    """It would stand in errors, links, pages and tags."""
    monkeypatch.setenv(f"PNEUMO_{name}", address)
    with pytest.raises(SettingsError, match="an address without user and password, found one") as caught:
        load_settings()
    assert "SECRET" not in str(caught.value)
    monkeypatch.setenv(f"PNEUMO_{name}", "http://server:5000/a@b")
    assert load_settings()


def test_two_people_without_approval_would_ask_nobody(folder, monkeypatch):
    monkeypatch.setenv("PNEUMO_PROMOTION__TWO_PEOPLE", "true")
    with pytest.raises(SettingsError, match=r"key promotion: expected approval: true beside two_people"):
        load_settings()
    monkeypatch.setenv("PNEUMO_PROMOTION__APPROVAL", "true")
    assert load_settings().promotion.two_people


def test_another_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"Expected mlflow.yaml in the working folder"):
        load_settings()


def test_the_state_folder_is_absolute(folder):
    assert load_settings().home == folder / ".pneumo"


def test_a_question_mark_in_the_state_folder_is_refused(folder, monkeypatch):
    """MLflow's database would be another file, without its timeout, and Prefect's too."""
    monkeypatch.setenv("PNEUMO_HOME", "scans?/home")
    with pytest.raises(SettingsError, match=r"key home: .* without a question mark, got /\S+\?/home: move"):
        load_settings()


def test_the_file_of_this_project_is_valid(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    assert load_settings().registry.champion == "champion"


def test_synthetic_data_has_a_model_of_its_own(folder):
    settings = load_settings()
    assert settings.model_name(synthetic=True) != settings.model_name(synthetic=False)


def test_a_variable_names_a_file_elsewhere(folder, tmp_path, monkeypatch):
    (tmp_path / "other.yaml").write_text("promotion:\n  minimum_auc: 0.75\n")
    monkeypatch.setenv("PNEUMO_SETTINGS", str(tmp_path / "other.yaml"))
    assert load_settings().promotion.minimum_auc == 0.75
    (tmp_path / "other.yaml").unlink()
    with pytest.raises(SettingsError, match=r"other.yaml, which PNEUMO_SETTINGS names, found no file"):
        load_settings()


@pytest.mark.parametrize(
    ("sections", "mlflow", "prefect"),
    [
        ("{}", "http://127.0.0.1:5000", "http://127.0.0.1:4200"),
        ("services: {host: 0.0.0.0, names: [xray]}", "http://xray:5000", "http://xray:4200"),
        ("services: {host: 0.0.0.0}", "http://127.0.0.1:5000", "http://127.0.0.1:4200"),
        ("tracking: {uri: 'http://mlflow:5000'}", "http://mlflow:5000", "http://127.0.0.1:4200"),
        (
            "{tracking: {uri: 'http://mlflow:5000', page: 'https://a.example:8444/'}, "
            "services: {prefect_page: 'https://a.example:8443'}}",
            "https://a.example:8444",
            "https://a.example:8443",
        ),
    ],
)
def test_pages_are_where_a_browser_finds_them(folder, sections, mlflow, prefect):
    (folder / "mlflow.yaml").write_text(sections)
    settings = load_settings()
    assert (settings.mlflow_page, settings.prefect_page) == (mlflow, prefect)


OFF = {  # settings that null switches off, each with a value that it may have
    **dict.fromkeys(("WATCH__CRON", "RETRAIN__CRON", "RETENTION__CRON"), "5 * * * *"),
    **dict.fromkeys(("SERVE__SHADOW", "RETRAIN__DATA", "POOL__TEMPLATE"), "some"),
    **{
        "DATA__STORAGE": "s3://bucket",
        "DATA__PATIENT_PATTERN": "(?P<patient>.)",
        "TRACKING__URI": "http://mlflow:5000",
    },
    **{"NOTIFY__BLOCK": "slack-webhook/mine", "WATCH__MINIMUM_REALISED_AUC": 0.9},
}


@pytest.mark.parametrize(("name", "value"), OFF.items())
def test_null_in_the_environment_is_that_of_the_file(folder, monkeypatch, name, value):
    section, key = name.lower().split("__")
    (folder / "mlflow.yaml").write_text(f"{section}:\n  {key}: {value!r}\n")
    assert getattr(getattr(load_settings(), section), key) is not None
    monkeypatch.setenv(f"PNEUMO_{name}", "null")
    assert getattr(getattr(load_settings(), section), key) is None


def test_null_where_a_value_is_needed_is_refused_by_name(folder, monkeypatch):
    monkeypatch.setenv("PNEUMO_REGISTRY__MODEL", "null")
    with pytest.raises(SettingsError, match=r"mlflow.yaml, key registry.model: input should be a valid string"):
        load_settings()


def test_the_file_of_each_section_is_named_where_the_settings_are_read():
    told = dict(line.split(": ") for line in settings.__doc__.splitlines() if ".py: " in line)
    sections = {
        name: field.annotation.__module__
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }
    named = {name: f"pneumo.settings.{file.removesuffix('.py')}" for file in told for name in told[file].split(", ")}
    assert named == sections


def test_a_page_that_holds_a_login_is_refused_without_repeating_it(folder, monkeypatch):
    """It would stand in every link."""
    for name in ("TRACKING__PAGE", "SERVICES__PREFECT_PAGE"):
        monkeypatch.setenv(f"PNEUMO_{name}", "https://admin:SECRET@pages.example:8444")
        with pytest.raises(SettingsError, match="without user and password") as caught:
            load_settings()
        assert "SECRET" not in str(caught.value)
        monkeypatch.delenv(f"PNEUMO_{name}")


def test_a_state_folder_without_a_name_is_refused_and_a_tilde_is_the_user_s(folder, monkeypatch):
    """An empty variable would be the working folder, and ~ a folder of that name in it."""
    monkeypatch.setenv("PNEUMO_HOME", "")
    with pytest.raises(SettingsError, match=r"key home: expected a folder, got none"):
        load_settings()
    monkeypatch.setenv("HOME", str(folder / "me"))
    monkeypatch.setenv("PNEUMO_HOME", "~/state")
    assert load_settings().home == folder / "me/state"


@pytest.mark.parametrize(
    "registry",
    ["{model: a, phantom_model: a}", "{champion: a, previous: a}", "{challenger: accepted}"],
)
def test_names_that_mean_two_things_are_refused(folder, registry):
    """Otherwise a champion of drawn images would replace that of real ones."""
    (folder / "mlflow.yaml").write_text(f"registry: {registry}")
    with pytest.raises(SettingsError, match=r"key registry: expected two different models and four different aliases"):
        load_settings()


@pytest.mark.parametrize("registry", ["{champion: latest}", "{previous: v2}", "{accepted: ''}", "{model: a/b}"])
def test_names_that_mlflow_refuses_are_refused_before_a_training(folder, registry):
    (folder / "mlflow.yaml").write_text(f"registry: {registry}")
    with pytest.raises(SettingsError, match=r"key registry\.\w+: "):
        load_settings()


def test_hours_of_approval_that_no_clock_can_count_are_refused(folder, monkeypatch):
    monkeypatch.setenv("PNEUMO_PROMOTION__APPROVAL_HOURS", "inf")
    with pytest.raises(SettingsError, match=r"key promotion.approval_hours: .*8760"):
        load_settings()
