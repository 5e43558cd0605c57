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
    for name in [names] if isinstance(names, str) else names or ():
        _make_working_folder_importable()
        try:
            import_module(name)
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and name.startswith(str(error.name))
            place = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"cannot be imported ({type(error).__name__}: {error})"
            remedy = REMEDY if missing else f"correct {place.filename}, line {place.lineno}"
            raise ConfigError("plugins", name, problem, remedy) from error


def config_folders(names: Sequence[str]) -> list[Path]:
    """Return the folders of configurations that lie beside modules, without importing these."""
    _make_working_folder_importable()
    folders = []
    for name in names:
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):
            spec = None
        if spec is None or spec.origin is None:
            raise ConfigError("plugins", name, "there is no such module", REMEDY)
        folders.append(Path(spec.origin).absolute().parent / "configs")
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _make_working_folder_importable() -> None:
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(1, folder)
