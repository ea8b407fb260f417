"""What of the project's folder travels to a cluster."""

from tasks.support import engine


def test_a_cluster_gets_the_code_and_nothing_else_that_lies_in_the_projects_folder(tmp_path):
    code = {"pneumo/files.py", "pneumo/templates/card.md.j2", "tasks/data.py", "flows/train.py"}
    private = (
        "run.env", "predictions.csv", "chest_xray/NORMAL/a.dcm", "backup/home/patient.key", ".pneumo/patient.key",
        "notes/pneumo/x.py", "pneumo/__pycache__/x.pyc",
    )  # fmt: skip
    for name in (*code, *private):
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).write_text("x")
    copy = tmp_path / "copy"
    copy.mkdir()
    assert engine.copied_code(tmp_path / "project", str(copy)) == str(copy)
    assert {file.relative_to(copy).as_posix() for file in copy.rglob("*") if file.is_file()} == {*code, "mlflow.yaml"}


def test_the_settings_in_force_travel_whatever_their_file_is_called(tmp_path, monkeypatch):
    """With PNEUMO_SETTINGS the cluster would train and log by other settings than this machine."""
    (tmp_path / "mlflow.yaml").write_text("of the project")
    (tmp_path / "hospital.yaml").write_text("in force")
    (tmp_path / "copy").mkdir()
    monkeypatch.setenv("PNEUMO_SETTINGS", str(tmp_path / "hospital.yaml"))
    engine.copied_code(tmp_path, str(tmp_path / "copy"))
    assert (tmp_path / "copy/mlflow.yaml").read_text() == "in force"
