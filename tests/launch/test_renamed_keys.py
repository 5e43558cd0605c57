"""Every old key is answered with its new name, which exists."""

import sys
from collections.abc import Callable

import pytest
from omegaconf import DictConfig

from vivit.config_folder import CONFIGS
from vivit.launch.command_line import begin
from vivit.launch.config_keys import root_keys
from vivit.launch.renamed_keys import RENAMED_KEYS

OVERRIDES = {
    "model": ["model=factorised_self_attention"],
    "tokeniser": ["tokeniser=uniform_frames"],
    "optim": ["optim=adamw_layer_decay"],
    "callbacks": ["callbacks=[default,lr_finder]", "logger=wandb"],
    "weights": ["weights=image", "weights.source=a"],
    "augment": ["augment=epic"],
}
"""What has to be chosen for a key to be in the configuration, by its first part."""
DATASETS = ("motion", "folder", "csv_folds", "epic_kitchens", "kinetics400", "ssv2")


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_old_key_is_answered_with_its_new_name(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    argument = old if "=" in old else f"{old}=1"
    monkeypatch.setattr(sys, "argv", ["train.py", "seed=2", argument])
    first = new.partition("=")[0].partition(".")[0]
    command = next(
        file.stem for file in [CONFIGS / "train.yaml", *CONFIGS.glob("*.yaml")] if first in root_keys(file.stem)
    )
    with pytest.raises(SystemExit) as refused:
        begin(command)
    assert str(refused.value) == f"error: {argument}: {old} is called {new} now; set that"


@pytest.mark.parametrize(
    ("argument", "old", "new"),
    [
        ("~callbacks.finite", "callbacks.finite", "callbacks.nan_check"),
        ("++data.workers=2", "data.workers", "data.num_workers"),
        ("callbacks=[default,rate_finder]", "callbacks=rate_finder", "callbacks=lr_finder"),
        ("weights@weights=wide_positions", "weights=wide_positions", "positions=learned_time"),
    ],
)
def test_every_form_of_override_is_answered(argument: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", argument])
    with pytest.raises(SystemExit) as refused:
        begin("train")
    assert str(refused.value) == f"error: {argument}: {old} is called {new} now; set that"


def test_key_below_a_renamed_one_is_answered_with_its_own_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "+callbacks.best.save_top_k=3"])
    with pytest.raises(SystemExit, match=r"set callbacks\.checkpoint_best\.save_top_k$"):
        begin("train")


@pytest.mark.parametrize("mark", ["", "+", "++", "~"])
def test_key_without_a_new_name_is_answered_with_what_to_set(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", f"{mark}data.dataset._target_=mylab.Mine"])
    with pytest.raises(SystemExit, match=r"^error: data\.dataset\._target_=mylab\.Mine: .*; set data\.dataset\.name; "):
        begin("train")


def test_arguments_of_today_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    today = ["train.py", "-m", "data.num_workers=2", "weights=image", "model.num_heads=4", "predictions=a=b"]
    monkeypatch.setattr(sys, "argv", list(today))
    begin("train")
    assert sys.argv == today


KEYS = sorted({new for new in RENAMED_KEYS.values() if "=" not in new and new not in ("regularisation",)})


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_new_key_exists(key: str, composed: Callable[..., DictConfig]) -> None:
    first = key.partition(".")[0]
    if first == "bench":
        configs = [composed(f"bench={name}", name="benchmark") for name in ("loader", "step", "scaling", "attention")]
    elif "." not in key and key != "loss":
        configs = [composed(name=name) for name in ("eval", "predict", "demo", "prepare", "convert")]
    elif key == "tokeniser.init":
        configs = [composed("tokeniser=tubelet")]
    elif key == "model.temporal_num_heads":
        configs = [composed("model=factorised_encoder")]
    elif key == "weights.truncate_temporal_layers":
        configs = [composed("weights=video", "weights.source=a")]
    elif key.startswith("data.dataset"):
        configs = [composed(f"data={name}", "data.root=/videos") for name in DATASETS]
    else:
        configs = [composed(*OVERRIDES.get(first, []))]

    def has(config: DictConfig) -> bool:
        node = config
        for part in key.split("."):
            if not isinstance(node, DictConfig) or part not in node:
                return False
            node = node._get_node(part)
        return True

    assert any(map(has, configs))
