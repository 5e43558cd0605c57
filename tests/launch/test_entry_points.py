"""How a command is started again: by its script in a clone, by its module where the package is installed."""

from pathlib import Path

import pytest

from vivit import entry_points
from vivit.entry_points import start_arguments, typed

SCRIPT = Path(__file__).parents[2] / "src" / "train.py"


def test_a_clone_starts_its_own_script() -> None:
    assert start_arguments("train") == [str(SCRIPT)]
    assert typed("train") == "python src/train.py"


def test_an_installed_package_starts_a_module_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_points, "INSTALLED", True)
    assert start_arguments("train") == ["-m", "vivit.commands.train"]
    assert typed("train") == "vivit-train"


def test_another_program_is_no_command_of_ours() -> None:
    assert start_arguments("queue") == []
