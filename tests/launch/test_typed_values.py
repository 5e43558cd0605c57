"""Yes and no are read the same at every key of every command."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.resolvers import job_name
from vivit.launch.typed_values import BOOLEAN_KEYS, _nodes, _typed_arguments, parse_typed_values

Compose = Callable[..., DictConfig]
CONFIGS = Path(__file__).parents[2] / "configs"
FALSE = ["no", "No", "NO", "off", "OFF", "n", "N", "false", "False", " no ", False]
TRUE = ["yes", "Yes", "YES", "on", "ON", "y", "true", "TRUE", True]
KEYS = [
    ("train", "test"),
    ("train", "skip_recorded"),
    ("train", "data.skip_unreadable"),
    ("train", "model.gradient_checkpointing"),
    ("train", "+trainer.enable_checkpointing"),
    ("train", "+trainer.detect_anomaly"),
    ("train", "+trainer.fast_dev_run"),
    ("train", "+trainer.deterministic"),
    ("train", "augment.random_crop"),
    ("predict", "explain"),
    ("predict", "skip_unreadable"),
    ("eval", "compute_metrics"),
    ("eval", "skip_unreadable"),
    ("prepare", "full_decode"),
    ("dashboards", "push"),
]
NEEDED = {"predict": ["ckpt_path=a", "video=b"], "train": ["augment=crop_flip"]}


def settled(composed: Compose, name: str, key: str, value: str) -> Any:
    cfg = composed(*NEEDED.get(name, []), f"{key}={value}", name=name)
    parse_typed_values(cfg)
    return OmegaConf.select(cfg, key.lstrip("+"))


@pytest.mark.parametrize(("value", "meant"), [(v, False) for v in FALSE] + [(v, True) for v in TRUE])
def test_every_spelling_is_read(value: str | bool, meant: bool) -> None:
    cfg = OmegaConf.create({"test": value})
    parse_typed_values(cfg)
    assert cfg.test is meant


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_every_command_reads_them_at_every_key(name: str, key: str, composed: Compose) -> None:
    cfg, word = composed(*NEEDED.get(name, []), f"{key}=no", name=name), key.lstrip("+")
    for value, meant in (("no", False), ("On", True)):
        OmegaConf.update(cfg, word, value)
        parse_typed_values(cfg)
        assert OmegaConf.select(cfg, word) is meant
    OmegaConf.update(cfg, word, 1.5)
    with pytest.raises(ConfigError) as refused:
        parse_typed_values(cfg)
    assert (refused.value.key, refused.value.value) == (word, 1.5)
    assert str(refused.value) == f"{word}=1.5: is neither true nor false; set {word}=true or {word}=false"


@pytest.mark.parametrize("value", [1, 0, 0.5, None, [True], {"a": True}, "nope", ""])
def test_all_else_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_typed_values(OmegaConf.create({"skip_unreadable": value}))
    assert refused.value.key == "skip_unreadable"


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("+trainer.fast_dev_run", "3", 3),
        ("+trainer.deterministic", "warn", "warn"),
        ("+trainer.benchmark", "null", None),
        ("data.num_workers", "1", 1),
        ("model.stochastic_depth", "0", 0),
        ("+trainer.strategy", "on", "on"),
        ("data.dataset.label_columns", "[no,yes]", ["no", "yes"]),
    ],
)
def test_keys_that_take_more_keep_it(key: str, value: str, kept: Any, composed: Compose) -> None:
    assert settled(composed, "train", key, value) == kept


def test_a_word_by_way_of_another_key_is_read_too(composed: Compose) -> None:
    cfg = composed("+mine=no", "test=${mine}", "data.skip_unreadable=${mine}")
    parse_typed_values(cfg)
    assert (cfg.test, cfg.data.skip_unreadable) == (False, False)


def test_a_file_of_somebody_s_own_is_read_alike(composed: Compose) -> None:
    cfg = composed()
    cfg.merge_with(OmegaConf.create("test: 'off'\ndata: {skip_unreadable: 'Yes'}"))
    parse_typed_values(cfg)
    assert (cfg.test, cfg.data.skip_unreadable) == (False, True)


def test_what_cannot_be_worked_out_is_left_to_others(composed: Compose) -> None:
    cfg = composed("test=${nobody}", "+callbacks.mine={_target_: no.such.Class, strict: no}")
    parse_typed_values(cfg)
    assert cfg.callbacks.mine.strict == "no"


def test_a_job_has_one_name_for_all_spellings(composed: Compose) -> None:
    names = {job_name(_root_=composed(f"test={value}", hydra=True))[-8:] for value in ("no", "off", "false", "'False'")}
    assert names == {job_name(_root_=composed("test=false", hydra=True))[-8:]}
    assert names != {job_name(_root_=composed("test=yes", hydra=True))[-8:]}


def booleans(node: Any, name: str) -> Iterator[str]:
    """Yield the keys of a file's plain content that are true or false, but for Hydra's own."""
    if isinstance(node, dict):
        for key, below in node.items():
            yield from booleans(below, f"{name}.{key}" if name else str(key))
    elif isinstance(node, bool) and not name.endswith(("_partial_", "_recursive_")):
        yield name


def switches(file: Path) -> set[str]:
    return set(booleans(yaml.safe_load(file.read_text()), ""))


WITH_BOOLEANS = [file for file in sorted(CONFIGS.glob("*/*.yaml")) if switches(file)]


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_commands_own_switches_are_known(file: Path) -> None:
    assert switches(file) <= set(BOOLEAN_KEYS)


@pytest.mark.parametrize(
    "file",
    WITH_BOOLEANS,
    ids=lambda file: f"{file.parent.name}-{file.stem}",
)
def test_every_boolean_of_every_option_is_known(file: Path, composed: Compose) -> None:
    """By the class that it is handed to; or a misspelt yes would be taken for true there."""
    group, option = file.parent.name, file.stem
    if option.startswith("_"):
        option = next(other.stem for other in file.parent.glob("*.yaml") if option in other.read_text())
    cfg = composed(f"bench={option}", name="benchmark") if group == "bench" else composed(f"{group}={option}")
    known = {
        f"{name}.{key}"
        for node, name in _nodes(cfg, "")
        for key, types in _typed_arguments(node, name).items()
        if bool in types
    }
    prefix = "" if "@package _global_" in file.read_text() else f"{group}."
    assert {f"{prefix}{key}" for key in switches(file)} <= known
