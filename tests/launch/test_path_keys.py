"""Paths are taken as they are typed, in every key that holds one; elsewhere Hydra's grammar means the same."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from names import BRACKETED, NAMES
from omegaconf import OmegaConf

from vivit.config_folder import CONFIGS
from vivit.errors import ConfigError
from vivit.launch.path_keys import LIST_KEYS, PATH_KEYS, READ_TWICE, is_path_key, paste, quote_paths
from vivit.launch.resolvers import register_resolvers

KEYS = tuple(key.replace("*", "train") for key in PATH_KEYS)
PATH_NAME = re.compile(
    r"(.*_)?(dir|dirpath|path|paths|file|files|folder|folders|root|source|target|video|videos|logs|records|picture"
    r"|scores|groups|resume|checkpoints|template|nouns|verbs|run|image)"
)
"""Names of keys that may hold a path."""
NO_PATHS = {"trainer.strategy.blocks.path", "callbacks.regularisation", "logger.csv.name", "hydra.run", "init_from"}
REFERENCE_TO_PATH = re.compile(r"\$\{(paths\.|logs\}|hydra:runtime\.output_dir|run_folder:)")


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_resolvers()
    monkeypatch.chdir(tmp_path)


def quoted(argument: str, *, multirun: bool = False) -> str:
    known = {"paths", "data", "hydra", "seed"}
    (result,) = quote_paths([argument], multirun=multirun, is_key=known.__contains__)
    return result


def value_of(override: str) -> Any:
    """The value of an override as a configuration has it, composed anew from what a run folder stores of it."""
    parsed = OverridesParser.create().parse_override(override)
    text = f"{parsed.key_or_group}={parsed.get_value_element_as_str()}"
    (stored,) = yaml.safe_load(yaml.safe_dump([text], allow_unicode=True))
    return OmegaConf.create({"x": OverridesParser.create().parse_override(stored).value()}).x


@pytest.mark.parametrize("key", KEYS)
def test_every_name_is_taken_as_it_is_typed(key: str) -> None:
    for name in NAMES:
        assert value_of(quoted(f"{key}={name}")) == name, name
        assert value_of(quoted(f"+{key}={name}")) == name, name
        assert value_of(quoted(f"{key}=/videos/{name}/more")) == f"/videos/{name}/more", name
        again = quoted(f"{key}={name}")
        assert quoted(again) == again, "ranks read their command line a second time"


def test_a_name_that_hydra_reads_the_same_stays_as_it_is() -> None:
    for text in (
        "data.root=/videos",
        "ckpt_path=a/b.ckpt",
        "resume=null",
        "records=",
        "data.root=???",
        "ckpt_path=auto",
    ):
        assert quoted(text) == text
    for text in ("seed=1,2", "model.pool='a b'", "+trainer.x={a:1}", "~data.root", "--config-dir=a b", "lr=(1)"):
        assert quoted(text) == text, "no path"


def test_what_is_bracketed_or_quoted_has_hydras_meaning_unless_a_file_is_called_so(tmp_path: Path) -> None:
    assert value_of(quoted("video=[a,b]")) == ["a", "b"]
    assert value_of(quoted("data.root='a b'")) == "a b"
    assert value_of(quoted('video="q"')) == "q"
    for name in BRACKETED:
        (tmp_path / name).touch()
        assert value_of(quoted(f"video={name}")) == name
        assert value_of(quoted(f"data.root={name}")) == name


def test_paths_of_a_list_are_taken_as_they_are_typed() -> None:
    assert value_of(quoted("video=[clip (1).mp4, it's.mp4,'a, b.mp4']")) == ["clip (1).mp4", "it's.mp4", "a, b.mp4"]


@pytest.mark.parametrize("key", [key for key in KEYS if key not in LIST_KEYS])
def test_a_list_where_one_path_belongs_is_one_sentence_with_what_to_paste(key: str) -> None:
    with pytest.raises(ConfigError, match="is a list, and this key holds one path") as error:
        quoted(f"{key}=[a,b]")
    assert error.value.key == key
    (word,) = shlex.split(str(error.value).rpartition(": ")[2])
    assert value_of(quoted(word)) == "[a,b]"


@pytest.mark.parametrize("name", [*NAMES, *BRACKETED])
def test_what_is_to_be_pasted_means_the_name(name: str) -> None:
    (word,) = shlex.split(paste("model.pool", name))
    assert value_of(word) == name


def test_the_home_folder_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert value_of(quoted("data.root=~/x y")) == f"{tmp_path}/x y"
    assert quoted("target=~") == f"target={tmp_path}"
    assert value_of(quoted("video=[~/a,~/b (1)]")) == [f"{tmp_path}/a", f"{tmp_path}/b (1)"]
    assert value_of(quoted("video=~.mp4")) == "~.mp4"
    assert value_of(quoted("video=~nobody-there/x")) == "~nobody-there/x"


def test_commas_of_a_multirun_separate_paths(tmp_path: Path) -> None:
    def values(argument: str) -> list[str]:
        parsed = OverridesParser.create().parse_override(quoted(argument, multirun=True))
        return [OverridesParser.create().parse_override(f"x={text}").value() for text in parsed.sweep_string_iterator()]

    assert values("data.root=/a,/b") == ["/a", "/b"]
    assert quoted("data.root=/a,/b", multirun=True) == "data.root=/a,/b"
    assert values("data.root=clip (1),it's,'c, d'") == ["clip (1)", "it's", "c, d"]
    assert values("weights.source=choice(a,b)") == ["a", "b"]
    assert value_of(quoted("hydra.sweep.dir=a,b", multirun=True)) == "a,b", "Hydra takes one folder"
    (tmp_path / "a,b").mkdir()
    assert value_of(quoted("data.root=a,b", multirun=True)) == "a,b"


def test_a_reference_that_resolves_stays_one_and_others_are_names() -> None:
    assert quoted("data.root=${paths.data}/x") == "data.root=${paths.data}/x"
    assert quoted("ckpt_path=${oc.env:HOME}/a (1)") == "ckpt_path='${oc.env:HOME}/a (1)'"
    for name in ("${x}.mp4", "a${", "\\${x}", "${nothing:1}"):
        assert value_of(quoted(f"video={name}")) == name
    for key in (key for key in KEYS if READ_TWICE.fullmatch(key)):
        with pytest.raises(ConfigError, match=r"contains \$\{, with which Hydra begins a reference"):
            quoted(f"{key}=${{x}}")


def test_ranks_find_their_folder_whatever_it_is_called() -> None:
    """Lightning writes double quotes around it."""
    for name in (*NAMES, *BRACKETED):
        assert value_of(quoted(f'hydra.run.dir="/runs/{name}/x"')) == f"/runs/{name}/x"


def leaves(node: Any, prefix: str) -> list[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        return [pair for key, below in node.items() for pair in leaves(below, f"{prefix}.{key}".lstrip("."))]
    if isinstance(node, list):
        return [pair for below in node if isinstance(below, dict) for pair in leaves(below, prefix)]
    return [(prefix, node)]


def test_the_list_of_keys_that_hold_a_path_is_complete() -> None:
    """Every key of every configuration that is called like a path, or whose value is one."""
    missing = set()
    for file in [*CONFIGS.glob("*.yaml"), *CONFIGS.glob("*/*.yaml")]:
        group = file.parent.name if file.parent != CONFIGS else ""
        if group in ("sweep", "scale", "pretrain", "experiment"):
            continue
        content = yaml.safe_load(file.read_text()) or {}
        prefix = "" if "@package _global_" in file.read_text() else group
        for key, value in leaves({k: v for k, v in content.items() if k != "defaults"}, prefix):
            called = PATH_NAME.fullmatch(key.rpartition(".")[2]) and not isinstance(value, bool | int | float)
            holds = isinstance(value, str) and REFERENCE_TO_PATH.search(value)
            if (called or holds) and not is_path_key(key) and key not in NO_PATHS and "_target_" not in key:
                missing.add(key)
    assert missing == set()


def test_every_key_of_the_list_exists() -> None:
    texts = "\n".join(file.read_text() for file in CONFIGS.rglob("*.yaml"))
    for key in PATH_KEYS:
        name = [part for part in key.split(".") if part != "*"][-1]
        assert re.search(rf"\b{name}:", texts), key


@pytest.mark.parametrize("value", ["/runs/${now:%Y-%m-%d}", "logs/${hydra:job.num}", "/a/${oc.env:HOME}/b"])
def test_resolvers_that_hydra_registers_later_are_references(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registered = OmegaConf.has_resolver
    monkeypatch.setattr(OmegaConf, "has_resolver", lambda name: name not in ("now", "hydra") and registered(name))
    for key in ("hydra.run.dir", "target"):
        assert quoted(f"{key}={value}") == f"{key}={value}"
