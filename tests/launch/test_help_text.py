"""``--help`` prints every key with its comment, from the YAML files, fast."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from vivit.config_folder import CONFIGS
from vivit.launch.config_keys import group_options, groups_of
from vivit.launch.help_text import MOST, documented_keys, print_help
from vivit.launch.resolvers import register_resolvers
from vivit.launch.yaml_comments import first_sentence, read_comments

COMMANDS = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def resolvers() -> None:
    register_resolvers()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_of_a_command_has_a_comment(command: str, capsys: pytest.CaptureFixture) -> None:
    print_help(command, ["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= MOST
    keys, _, _ = documented_keys(command, [])
    assert [key for key, (_, words) in keys.items() if not words] == []
    text = "\n".join(lines)
    for key, (value, words) in keys.items():
        assert f"  {key}={value}"[:60] in text
        assert words.split()[0] in text
    for group in groups_of(command) - {"hydra", "paths"}:
        assert f"  {group}=" in text or f"\n  {group:<28}" in text
        for option in group_options(group):
            assert option in text


@pytest.mark.parametrize("group", sorted(groups_of("train") | groups_of("eval") | groups_of("benchmark")))
def test_every_key_of_every_option_has_a_comment(group: str) -> None:
    command = next(name for name in ("train", "eval", "benchmark") if group in groups_of(name))
    for option in group_options(group):
        keys, _, _ = documented_keys(command, [f"{group}={option}"])
        assert [key for key, (_, words) in keys.items() if not words] == [], option


def test_the_options_of_a_group_are_listed_with_what_they_are(capsys: pytest.CaptureFixture) -> None:
    print_help("train", ["--help", "data"])
    text = capsys.readouterr().out
    for option in group_options("data"):
        assert f"  {option}" in text
    assert "Your own videos" in text
    assert "data.batch_size=16" in text
    assert "optim.optimizer.lr" not in text


def test_what_is_shown_as_chosen_can_be_typed(capsys: pytest.CaptureFixture) -> None:
    """The options of groups as the help shows them compose; null, which a group may not take, is not among them."""
    print_help("train", ["--help"])
    lines = capsys.readouterr().out.partition("Groups (")[2].partition("\nKeys")[0].splitlines()[2:]
    shown = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert {"weights=none", "callbacks=[default]", "experiment", "sweep", "model=factorised_encoder"} <= {*shown}
    documented_keys("train", [word for word in shown if "=" in word])
    print_help("train", ["--help", "weights"])
    text = capsys.readouterr().out
    assert text.startswith("weights=OPTION, now none, one of\n")
    assert "weights=null is the same." in " ".join(text.split())
    print_help("train", ["--help", "experiment"])
    assert capsys.readouterr().out.startswith("experiment=OPTION, nothing is chosen; one of\n")


def test_keys_are_found_by_their_own_and_other_names(capsys: pytest.CaptureFixture) -> None:
    for word in ("optim.optimizer.lr", "lr", "learning_rate"):
        print_help("train", ["--help", word])
        assert "optim.optimizer.lr=0.0005" in capsys.readouterr().out


def test_an_option_shows_its_own_keys(capsys: pytest.CaptureFixture) -> None:
    print_help("train", ["data=csv_folds", "--help"])
    assert "data.dataset.fold=0" in capsys.readouterr().out


def test_help_takes_less_than_two_seconds_of_a_process() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-X", "importtime", str(REPOSITORY / "src" / "train.py"), "--help"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "lightning", "pandas", "torchvision", "matplotlib"}
    assert "optim.optimizer.lr=0.0005" in done.stdout


def test_comments_stand_behind_a_key_above_it_or_below(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "# What this is. It has: more.\n"
        "a: 1  # behind\n"
        "       # not the same column\n"
        "b: '# no comment'   # behind, and\n"
        "                    # below\n"
        "\n"
        "# of nobody\n"
        "\n"
        "# above, on\n"
        "# two lines\n"
        "c:\n"
        "  d: 2  # within\n"
        "  e: 3\n"
        "f: {g: 1}  # flow\n"
    )
    assert read_comments(file) == {
        "": "What this is. It has: more.",
        "a": "behind",
        "b": "behind, and below",
        "c": "above, on two lines",
        "c.d": "within",
        "f": "flow",
        "f.g": "flow",
    }
    assert first_sentence("What this is. It has: more.") == "What this is."
    assert first_sentence("train/<class>/a.mp4, as e.g. here") == "train/<class>/a.mp4, as e.g. here"
