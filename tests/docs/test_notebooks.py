"""The notebooks run from top to bottom on drawn images, and show what they say."""

import json

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.blocks import PROJECT

pytestmark = pytest.mark.slow
NOTEBOOKS = PROJECT / "docs" / "notebooks"


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Executes a notebook and one more line; gives that line's value."""
    for name in ("DATA", "EXTERNAL", "WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PNEUMO_HOME", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))

    def run(name, line):
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(line))
        NotebookClient(notebook, timeout=500, resources={"metadata": {"path": NOTEBOOKS}}).execute()
        return notebook.cells[-1].outputs[0]["data"]["text/plain"].strip("'")

    return run


@pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_notebook_is_valid_and_kept_without_outputs(file):
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_way_to_a_model_card(execute):
    said = execute("model-card.ipynb", "Out[max(Out)].data")
    assert "Not a medical device" in said and "phantom" in said


def test_the_classroom_shows_the_inflation(execute):
    area = json.loads(execute("classroom.ipynb", 'table["AUC"].to_json()'))
    assert area["split by image"] > area["split by patient"] > area["changed acquisition"] > 0.5
