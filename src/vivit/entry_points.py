"""How a command is started: by its script in a clone, by its entry point where this package is installed."""

from pathlib import Path

from vivit.config_folder import INSTALLED

PACKAGE = Path(__file__).absolute().parent


def start_arguments(command: str) -> list[str]:
    """Return what follows ``python`` to start a command of this package; empty for any other name."""
    if not (PACKAGE / "commands" / f"{command}.py").is_file():
        return []
    return ["-m", f"vivit.commands.{command}"] if INSTALLED else [str(PACKAGE.parent / f"{command}.py")]


def typed(command: str) -> str:
    """Return how a command is typed: ``python src/train.py`` in a clone, ``vivit-train`` where it is installed."""
    return f"vivit-{command}" if INSTALLED else f"python src/{command}.py"
