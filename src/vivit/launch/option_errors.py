"""What is wrong with the option of a group of configurations, in one sentence, with the nearest one."""

import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from vivit.config_folder import CONFIGS
from vivit.launch.config_keys import group_options
from vivit.launch.foreign_keys import foreign_option
from vivit.overrides import split_override

OF_EXTRAS = dict.fromkeys(("submitit_slurm", "submitit_local"), "pip install hydra-submitit-launcher")
"""Options that come with packages of an extra, and how to install those."""
GROUPS_BESIDE = ("model", "size", "weights", "data", "experiment", "optim", "trainer", "callbacks", "augment")
"""Groups in which an option is looked for that another does not have."""


def explain_path(group: str, path: str) -> str:
    """Return what is wrong with a path in the place of an option; a run and its checkpoints are weights of a video."""
    kind = "video" if path.endswith(".ckpt") or Path(path, "checkpoints").is_dir() else "image"
    meant = {"data": f"data=folder data.root={path}", "weights": f"weights={kind} weights.source={path}"}.get(group)
    options = ", ".join(group_options(group))
    return f"{group}={path}: is a path, and no option" + (
        f"; did you mean {shlex.join(meant.split(' ', 1))}?" if meant else f"; {group}= is one of {options}"
    )


def explain_no_option(message: str, arguments: Sequence[str]) -> str:
    """Return what is wrong with a number or a boolean in the place of an option; nothing for other errors."""
    if not message.startswith("Config group override must be"):
        return ""
    typed = [(key, value or "") for key, value in map(split_override, arguments) if (CONFIGS / key).is_dir()]
    bad = next(((key, value) for key, value in typed if value not in group_options(key)), None)
    return "" if bad is None else explain_option(*bad)


def explain_option(group: str, option: str, options: Iterable[str] = ()) -> str:
    """Return what is wrong with an option that a group does not have: the nearest one, and all that there are."""
    known = sorted({name for name in options if not name.startswith("_")}) or group_options(group)
    if option in OF_EXTRAS and option not in known:
        return f"{group}={option}: needs packages that are not installed; type {OF_EXTRAS[option]}"
    meant = foreign_option(group, option)
    if meant is None:
        names = {name.lower(): name for name in known}
        folded = option.lower().replace("-", "_")
        near = [name for name in known if name.startswith(folded)] if len(folded) > 1 else []
        near = near or [names[name] for name in get_close_matches(folded, names, 1, 0.6)]
        meant = near[0] if near else None
    others = [name for name in GROUPS_BESIDE if name != group and option in group_options(name)]
    text = f"{group}={option}: there is no such option"
    if meant is not None:
        text += f"; did you mean {group}={meant}?"
    elif others:
        text += f"; did you mean {others[0]}={option}?"
    else:
        text += ";"
    return f"{text} {group}= is one of {', '.join(known)}"
