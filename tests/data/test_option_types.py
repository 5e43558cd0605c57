"""A value of a wrong type at any option of any data set is one error that names its key and what to set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from vivit.data.datasets import VideoFolder, build_dataset, dataset_from_options, register_dataset
from vivit.data.datasets.registry import _CLASSES
from vivit.errors import ConfigError
from vivit.launch.user_errors import format_error
from vivit.tasks.batch_size import find_batch_size
from vivit.tasks.dataset import build_dataset as build_configured

Compose = Callable[..., DictConfig]
CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(file.stem for file in (CONFIGS / "data").glob("*.yaml") if not file.stem.startswith("_"))
WRONG: dict[str, list[str]] = {
    **{key: ["abc", "1.5", "true", "[1]"] for key in ("folds", "fold", "copies", "num_classes", "format")},
    **{key: ["5", "abc", "[1,2]", "{a:b}"] for key in ("header", "label_columns", "score_by")},
    **{key: ["5", "true", "[a]", "{a:b}"] for key in ("file", "group", "group_before", "delimiter")},
    **{key: ["5", "[a]"] for key in ("path_template", "class_file", "nouns", "verbs")},
    **{key: ["abc", "3"] for key in ("allow_unlabelled", "swap_labels_on_flip")},
    **{key: ["5", "abc", "[a]", "{train:5}", "{train:null}"] for key in ("annotation_files", "folders")},
    **{key: ["5", "abc", "{noun:5}"] for key in ("tail_classes", "unseen_participants")},
    "frames_fps": ["abc", "true", "[5]", "0", "-3"],
    "index_dir": ["5", "[a]"],
    "label": ["5", "[a]"],
    "encoding": ["5", "[a]"],
    "separator": ["3", "[a]", "{label:3}"],
    "class_columns": ["x", "5", "{a:b}", "{a:[1,2]}"],
    "max_missing": ["0.1", "abc", "{train:abc}", "{train:2}", "{val:null}"],
    "filter": ["x", "3", "{a:[b]}", "{a:null}"],
    "flip": ["5", "left", "[a]", "{label:left}"],
    "name": ["5", "[a]"],
}
"""Values that an option cannot have, as typed."""


def options_of(name: str) -> dict[str, Any]:
    """Return the options that a file of configurations of a data set lists, with those of the files that it extends."""
    content = yaml.safe_load((CONFIGS / "data" / f"{name}.yaml").read_text())
    options: dict[str, Any] = {}
    for other in content.get("defaults", []):
        if isinstance(other, str) and (CONFIGS / "data" / f"{other}.yaml").is_file():
            options |= options_of(other)
    return options | content.get("data", content).get("dataset", {})


def configured(name: str, root: Path, /, **changed: Any) -> DictConfig:
    """Return the configuration of a data set in which some options are changed, as the command line does it."""
    cfg = OmegaConf.create({"data": {"root": str(root), "dataset": options_of(name)}})
    for option, value in changed.items():
        parsed = OverridesParser.create().parse_override(f"{option}={value}").value()
        node = cfg.data.dataset
        if isinstance(parsed, dict) and OmegaConf.is_dict(node.get(option)):
            node[option].merge_with(parsed)
        else:
            node[option] = parsed
    return cfg


CASES = [(name, option, value) for name in NAMES for option in options_of(name) for value in WRONG[option]]


@pytest.mark.parametrize(("name", "option", "value"), CASES, ids=str)
@pytest.mark.usefixtures("untyped")
def test_a_wrong_value_is_one_error_about_its_key(name: str, option: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        build_configured(configured(name, tmp_path, **{option: value}))
    assert error.value.key.startswith(f"data.dataset.{option}")
    message = format_error(error.value)
    assert "; set " in message or "; write a text in both quotes" in message


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("motion")])
def test_what_the_files_list_is_of_the_declared_types(name: str, tmp_path: Path) -> None:
    assert build_configured(configured(name, tmp_path, max_missing="{train:1,val:0.5}")).root == tmp_path


def test_numbers_as_texts_are_taken_in_quotes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"""data\.dataset\.group=5: .*'data\.dataset\.group="5"'"""):
        build_configured(configured("csv", tmp_path, group="5"))
    assert build_configured(configured("csv", tmp_path, group='"5"'))
    assert build_configured(configured("csv_folds", tmp_path, filter="{camera:3}"))


@pytest.mark.usefixtures("untyped")
def test_classes_of_the_wrong_kind(tmp_path: Path) -> None:
    for classes in ("x", 5, {"label": "x"}, {"label": [1]}):
        with pytest.raises(ConfigError) as error:
            build_dataset("csv", root=tmp_path, classes=classes)
        assert error.value.key.startswith("data.dataset.classes")
    with pytest.raises(ConfigError, match="has no 'label'; list the classes of every head"):
        assert build_dataset("csv", root=tmp_path, classes={"other": ["a"]}).heads


@pytest.mark.parametrize("root", [5, None, ["a"]])
@pytest.mark.usefixtures("untyped")
def test_a_root_that_is_no_path(root: Any) -> None:
    cfg = configured("csv", Path())
    cfg.data.root = root
    with pytest.raises(ConfigError, match="set the folder of the videos") as error:
        build_configured(cfg)
    assert error.value.key == "data.root"


@pytest.mark.usefixtures("untyped")
def test_no_data_set_at_all() -> None:
    cfg = OmegaConf.create({"data": {"root": "x", "dataset": "abc"}})
    with pytest.raises(ConfigError, match=r"set data\.dataset\.name"):
        build_configured(cfg)


@pytest.mark.parametrize(
    "word", ["data.frames=abc", "data.crop=5", "data.crop=[a,b]", "data.resize=x", "data.dataset.copies=abc"]
)
@pytest.mark.usefixtures("untyped")
def test_a_batch_that_is_to_be_found_checks_them_too(word: str, composed: Compose, tmp_path: Path) -> None:
    cfg = composed("data=folder", f"data.root={tmp_path}", "data.batch_size=auto", word)
    with pytest.raises(ConfigError) as error:
        find_batch_size(cfg)
    assert error.value.key == word.split("=")[0]


def test_options_of_other_packages_are_checked_as_far_as_they_are_declared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Foreign(VideoFolder):
        def __init__(self, *, side: int, anything=None, **rest: Any) -> None:  # type: ignore[no-untyped-def]
            super().__init__(**rest)

    monkeypatch.setitem(_CLASSES, "foreign", register_dataset("foreign")(Foreign))
    options = {"name": "foreign", "side": 3, "anything": object()}
    assert dataset_from_options(options, root=tmp_path)
    with pytest.raises(ConfigError, match=r"data\.dataset\.side=x: is no whole number; set a number"):
        dataset_from_options(options | {"side": "x"}, root=tmp_path)
