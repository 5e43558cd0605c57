"""Constructors stay short: what a class needs is a record, not twenty arguments."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "vivit"
MOST = 10
LONG = {
    "EncoderConfig": "the record of what all models share, so that their constructors take two arguments",
    "FeatureMetadata": "what is stored beside features, read and written as one record",
    "KeyFormat": "a file format as a table: names, layouts, and how its project feeds its networks",
    "PredictionsMetadata": "what is stored beside predictions, read and written as one record",
    "Scene": "everything that is drawn of one video",
    "VideoDataset": "the keys of data.dataset that all data sets have",
    "VideoDataModule": "the keys of configs/data, one by one, as Hydra fills them",
}
"""Classes with more arguments, and why."""


def arguments(cls: ast.ClassDef) -> int:
    """Return the number of arguments of a class: of __init__, or the fields that it declares as a dataclass."""
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return len(node.args.args) + len(node.args.kwonlyargs) - 1
    if any("dataclass" in ast.unparse(decorator) for decorator in cls.decorator_list):
        return sum(isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node) for node in cls.body)
    return 0


def test_constructors_have_few_arguments_unless_a_list_says_why() -> None:
    classes = {
        node.name: arguments(node)
        for file in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert len(classes) > 100
    assert {name for name, count in classes.items() if count > MOST} == set(LONG)
