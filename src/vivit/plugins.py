"""Modules outside of this package that register models, tokenisers and data sets: ``plugins=[mylab.video]``.

They are found from the working folder, and where Python finds modules. Their configurations lie in ``configs/<group>/``
beside them.
"""

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from vivit.errors import ConfigError

REMEDY = "set the name of a module that Python can import from this folder, such as mylab.video"


def import_plugins(names: Sequence[str] | str | None) -> None:
    """Import modules that register something. Raises ConfigError about ``plugins`` where one cannot be imported."""
    _make_working_folder_importable()
    for name in [names] if isinstance(names, str) else names or ():
        try:
            import_module(name)
        except Exception as error:
            raise _import_problem(name, error) from error


def config_folders(names: Sequence[str]) -> list[Path]:
    """Return the folders of configurations that lie beside modules. Only packages around these are imported."""
    _make_working_folder_importable()
    folders = []
    for name in names:
        try:
            spec = find_spec(name)
        except Exception as error:
            raise _import_problem(name, error) from error
        if spec is None or spec.origin is None:
            raise ConfigError("plugins", name, "there is no such module", REMEDY)
        folders.append(Path(spec.origin).absolute().parent / "configs")
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _import_problem(name: str, error: Exception) -> ConfigError:
    """Return the error about a plugin, with the line of its package where something went wrong."""
    if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
        return ConfigError("plugins", name, "there is no such module", REMEDY)
    problem = f"cannot be imported ({type(error).__name__}: {error})"
    if isinstance(error, SyntaxError):
        return ConfigError("plugins", name, problem, f"correct {error.filename}, line {error.lineno}")
    part = f"/{name.partition('.')[0]}"
    frames = traceback.extract_tb(error.__traceback__)
    place = next(
        (frame for frame in reversed(frames) if f"{part}/" in frame.filename or f"{part}.py" in frame.filename),
        frames[-1],
    )
    return ConfigError("plugins", name, problem, f"correct {place.filename}, line {place.lineno}")


def _make_working_folder_importable() -> None:
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(1, folder)
