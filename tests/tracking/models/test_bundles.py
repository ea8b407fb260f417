"""What is kept with a model: all code that its pyfunc imports, at whatever moment, and little else."""

import ast
from pathlib import Path

from pneumo.tracking.models import bundles

PROJECT = bundles.PACKAGE.parent


def file_of(module: str) -> Path | None:
    """The source of a module of this project; None for one of another package, or a name in a module."""
    place = PROJECT / module.replace(".", "/")
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


def imported(module: str) -> set[str]:
    """Modules of this project that a module imports, also within its functions, but not for type checkers alone."""
    file, found = file_of(module), set()
    tree = ast.parse(file.read_text(encoding="utf-8")) if file else ast.Module([], [])
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{item.name}" for item in node.names)}
        elif isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        waiting += ast.iter_child_nodes(node)
    parents = {module[:at] for at, letter in enumerate(module) if letter == "."}
    return {name for name in found | parents if name.startswith("pneumo") and file_of(name)}


def needed(module: str) -> set[Path]:
    known: set[str] = set()
    waiting = {module}
    while waiting:
        known |= waiting
        waiting = {name for one in waiting for name in imported(one)} - known
    return {file.relative_to(bundles.PACKAGE) for name in known if (file := file_of(name))}


def test_a_model_has_all_code_that_it_imports_and_few_other_files(tmp_path: Path) -> None:
    code = bundles._code(tmp_path / "pneumo")
    kept = {file.relative_to(code) for file in code.rglob("*") if file.is_file()}
    asked = needed(".".join(bundles.MODEL_FILE.relative_to(PROJECT).with_suffix("").parts))
    assert Path("data/store/decode.py") in asked
    assert Path("serving/bundle/class_activation.py") in asked
    assert not asked - kept
    assert len(kept - asked) < 10
