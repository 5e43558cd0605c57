"""Where the configurations lie: in the package where it is installed, at the root of a clone otherwise."""

from pathlib import Path

PACKAGED = Path(__file__).absolute().parent / "configs"
"""Only an installed package has this folder; a clone has one copy of its configurations, at its root."""
CONFIGS = PACKAGED if PACKAGED.is_dir() else PACKAGED.parents[2] / "configs"
"""The folder of all configurations of this package, which Hydra and others read."""
