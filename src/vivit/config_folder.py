"""Where the configurations lie: in the package where it is installed, at the root of a clone otherwise."""

from pathlib import Path

PACKAGED = Path(__file__).absolute().parent / "configs"
INSTALLED = PACKAGED.is_dir()
"""Whether this package was installed with its configurations; a clone, editable or not, has them at its root only."""
CONFIGS = PACKAGED if INSTALLED else PACKAGED.parents[2] / "configs"
"""The folder of all configurations of this package, which Hydra and others read."""
