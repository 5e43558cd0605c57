"""Plugins that cannot be imported, models that return something else, names that are taken: one clear error each."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vivit.data.datasets import VideoDataset, register_dataset
from vivit.errors import ConfigError
from vivit.launch.command_line import add_plugin_configs
from vivit.models import ViViT, build_model, create_model, model_name, models, register_model
from vivit.models.encoder import Encoder
from vivit.models.flops import count_flops
from vivit.plugins import config_folders, import_plugins

TOKENS = {"name": "tubelet", "dim": 8, "tubelet": [2, 4, 4]}
SIZE = {"num_classes": 3, "frames": 4, "height": 8, "width": 8, "depth": 1, "num_heads": 2, "mlp_dim": 12}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of somebody with modules of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("import nothing_like_it", "correct .*broken_one.py, line 1"),
        ("x = 1\nraise RuntimeError('boom')", "correct .*broken_one.py, line 2"),
        ("import json\njson.loads('')", "correct .*broken_one.py, line 2"),
        ("x = (", "correct .*broken_one.py, line 1"),
        (None, "set the name of a module"),
    ],
)
def test_plugin_that_cannot_be_imported_is_answered_with_its_line(code: str | None, remedy: str, lab: Path) -> None:
    if code is not None:
        (lab / "broken_one.py").write_text(code)
    with pytest.raises(ConfigError, match=remedy) as error:
        import_plugins(["broken_one"])
    assert (error.value.key, error.value.value) == ("plugins", "broken_one")


def test_plugin_may_be_named_without_brackets(lab: Path) -> None:
    (lab / "fine_one.py").write_text("x = 1")
    import_plugins("fine_one")
    assert sys.modules["fine_one"].x == 1


def test_configurations_beside_a_plugin_are_found_without_importing_it(lab: Path) -> None:
    folder = lab / "a lab" / "inner"
    (folder / "configs").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError")
    sys.path.insert(0, str(lab / "a lab"))
    assert config_folders(["inner"]) == [folder / "configs"]
    (with_path,) = add_plugin_configs(["plugins=[inner]"])[1:]
    assert with_path == f"hydra.searchpath=['file://{folder / 'configs'}']"
    typed = ["plugins=[inner]", "hydra.searchpath=[pkg://other]"]
    assert add_plugin_configs(typed)[1] == f"hydra.searchpath=[pkg://other,'file://{folder / 'configs'}']"
    again = add_plugin_configs(add_plugin_configs(typed))  # a rank, or a job of a sweep, gets the line as it was run
    assert again == add_plugin_configs(typed)
    for name in ("absent_one", "absent_one.video", "inner.video"):
        with pytest.raises(SystemExit, match=rf"plugins={name}: (there is no such module|cannot be imported)"):
            add_plugin_configs([f"plugins=[{name}]"])


class Anything(ViViT):
    """A model whose ``encode`` is what a test makes it."""

    def build(self, grid: tuple[int, int, int]) -> None:
        self.gru = nn.GRU(self.tokeniser.dim, self.tokeniser.dim, batch_first=True)

    def encode(self, tokens: Tensor) -> Tensor:
        return self.gru(tokens.flatten(1, 3))[0].mean(1)


@pytest.fixture
def anything() -> str:
    register_model("anything")(Anything)
    return "anything"


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("shape", ["tokens", "width"])
def test_what_encode_returns_is_checked(shape: str, anything: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = {"tokens": lambda self, tokens: tokens, "width": lambda self, tokens: tokens.flatten(1, 3).mean(1)[:, :5]}
    monkeypatch.setattr(Anything, "encode", results[shape])
    with pytest.raises(ConfigError, match=r"is to return \[b, d\] = \[2, 8\]") as error:
        build_model(anything, TOKENS, **SIZE)(torch.rand(2, 3, 4, 8, 8))
    assert error.value.key == "model"


def test_unknown_operations_are_named_where_the_count_is_not_strict(anything: str) -> None:
    net = build_model(anything, TOKENS, **SIZE)
    with pytest.raises(TypeError, match="cannot be counted"):
        count_flops(net, frames=4, height=8, width=8)
    counted = count_flops(net, frames=4, height=8, width=8, strict=False)
    assert any("sigmoid" in name for name in counted.uncounted)
    assert counted.gmac > 0


def test_model_without_attention_maps_says_so(anything: str) -> None:
    net = build_model(anything, TOKENS, **SIZE)
    with pytest.raises(ConfigError, match=r"returns no attention maps; set explain=false"):
        list(net.attention_maps(torch.rand(1, 3, 4, 8, 8)))


def test_names_that_are_taken_are_refused_and_a_reload_is_not() -> None:
    class Mine(Anything):
        pass

    with pytest.raises(ConfigError, match=r"spatiotemporal.*vivit\.models\.spatiotemporal\.SpatioTemporal"):
        register_model("spatiotemporal")(Mine)
    register_model("anything")(Anything)

    with pytest.raises(Exception, match="motion"):

        @register_dataset("motion")
        class Other(VideoDataset):
            pass


def test_models_and_their_names() -> None:
    assert {"spatiotemporal", "factorised_encoder", "average_pool"} <= set(models())
    pooled = create_model("average_pool", size="tiny", num_classes=2, frames=4, image_size=16)
    assert (model_name(pooled), pooled.name) == ("average_pool", "factorised_encoder")
    assert sum(isinstance(part, Encoder) for part in pooled.modules()) == 1
    with pytest.raises(ConfigError) as error:
        create_model("spatiotemporal", size="gigantic", num_classes=2)
    assert error.value.key == "size"
    with pytest.raises(ConfigError) as error:
        build_model("spatiotemporal", {"dim": 8}, **SIZE)
    assert error.value.key == "tokeniser.name"
