"""What every command does before Hydra reads its configuration."""

import os
import re
import sys
from pathlib import Path

from vivit.jobs.naming import register_resolvers
from vivit.jobs.output import keep_output_steady

CONFIGS = Path(__file__).absolute().parents[3] / "configs"
NO_CHOICE = re.compile(r"([\w/]+)=(null)?", re.IGNORECASE)
"""A group of configurations for which nothing is chosen; Hydra takes neither null nor nothing."""


def begin() -> None:
    """Make printing safe, teach configurations our words, and read null where nothing is chosen of a group.

    Empty variables of Weights & Biases, as compose files set them, are unset here, as it does not do itself.
    """
    keep_output_steady()
    for name in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value.strip()]:
        del os.environ[name]
    register_resolvers()
    sys.argv[1:] = [without_null(word) for word in sys.argv[1:]]


def without_null(word: str) -> str:
    """Return ``group=none`` for ``group=null``, and all else as it is. Raises SystemExit where a group has no none."""
    chosen = NO_CHOICE.fullmatch(word)
    if chosen is None or not (CONFIGS / chosen[1]).is_dir():
        return word
    group = chosen[1]
    if (CONFIGS / group / "none.yaml").is_file():
        return f"{group}=none"
    raise SystemExit(
        f"error: {word}: a group of configurations cannot be {chosen[2] or 'empty'}; leave it out, or set one of "
        f"{', '.join(options(group))}"
    )


def options(group: str) -> list[str]:
    """Name what there is to choose in a group."""
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml") if not file.stem.startswith("_"))
