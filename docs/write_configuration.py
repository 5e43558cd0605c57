"""Write docs/configuration.md from the comments in configs/: every group and key of every command."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import yaml

from vivit.config_folder import CONFIGS
from vivit.launch.config_keys import group_options, groups_of
from vivit.launch.help_text import SECTIONS, documented_keys
from vivit.launch.yaml_comments import first_sentence, read_comments

TARGET = Path(__file__).with_name("configuration.md")
COMMANDS = (
    *("train", "eval", "predict", "prepare", "features"),
    *("export", "convert", "demo", "report", "benchmark", "dashboards"),
)
OTHERS = ("paths", "hydra")
"""Groups that are no choice of a user."""
HEAD = """# Configuration

Every key and group, with its meaning and default, as the files in `configs/` have them.
`python docs/write_configuration.py` writes this page. `python src/train.py --help` prints the same, for the options
that you type beside it. How keys are typed: [the command line](command_line.md).

```text
python src/train.py model=spatiotemporal size=small data.batch_size=8 optim.optimizer.lr=1e-4
                    group=option         group=option  key=value     key=value
```

## How it is put together

`configs/train.yaml` lists a default option of every group. An option is a file, as `configs/model/spatiotemporal.yaml`,
and sets what differs from the file that it builds on (`_base.yaml`). An `experiment=` sets options and keys of several
groups at once. What is typed comes last and wins. `--cfg job` prints the outcome; a run folder has it as
`.hydra/config.yaml`.
"""


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *(line for command in COMMANDS for line in command_lines(command))]).rstrip() + "\n"


def command_lines(command: str) -> Iterator[str]:
    """Yield the lines of a command: what it does, its groups and its keys."""
    keys, sections, choices = documented_keys(command, [])
    yield from (f"## {command}.py", "", plain(read_comments(CONFIGS / f"{command}.yaml")[""]), "")
    groups = sorted(groups_of(command) - {*OTHERS})
    if groups and command == "train":
        for group in groups:
            yield from (f"### {command}: {group}=", "")
            options = group_options(group)
            rows = [(name(option, choices.get(group)), plain(file_comment(group, option))) for option in options]
            yield from table(("option", "content"), rows)
    elif groups:
        yield f"Groups: {', '.join(f'`{group}`' for group in groups)}; their options are those of `train.py`."
        yield ""
    order = {section: place for place, section in enumerate(("", *SECTIONS))}
    ranked = sorted(keys, key=lambda key: order.get(section_of(key), len(order)))
    for section, names in groupby(ranked, key=section_of):
        if section:
            yield from (f"### {command}: {section}.", "", plain(first_sentence(sections.get(section, ""))), "")
        else:
            yield from (f"### {command}: keys without a section", "")
        yield from table(
            ("key", "default", "meaning"), [(code(key), code(keys[key][0]), plain(keys[key][1])) for key in names]
        )


def section_of(key: str) -> str:
    """Return the first part of a dotted key; nothing for a key without dots."""
    return key.partition(".")[0] if "." in key else ""


def file_comment(group: str, option: str) -> str:
    """Return the first sentence of what the file of an option says of it; of a sweep its title."""
    file = CONFIGS / group / f"{option}.yaml"
    if group == "sweep":
        return yaml.safe_load(file.read_text(encoding="utf-8"))["title"]
    return first_sentence(read_comments(file)[""])


def name(option: str, default: str | None) -> str:
    """Return an option, in bold where it is the default."""
    return f"**`{option}`**" if option == default else f"`{option}`"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table, and an empty one."""
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def code(text: str) -> str:
    """Return a text as code in a cell of a table."""
    return "`" + text.replace("|", "\\|") + "`" if text else ""


def plain(text: str) -> str:
    """Return a comment as prose in a cell of a table, its keys as code, without signs that Markdown reads."""
    text = re.sub(r"(?<![\w`])((?:[\w/]+\.)*[\w/]+=(?:\[[^\]]*\]|\{[^}]*\}|[^\s;:\[]*[^\s,;:.)\[]))", r"`\1`", text)
    parts = text.split("`")
    parts[::2] = [re.sub(r"([|<*_$\[\]{}])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [part.replace("|", "\\|") for part in parts[1::2]]
    return "`".join(parts)


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
