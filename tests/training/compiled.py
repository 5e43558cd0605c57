"""A compiled network beside one that is not, on all four models; ``test_options`` runs this without type checks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_options import Loaders, Losses, Module, Trainers, assert_same, every_model, steady

from vivit.training import Compile, LastCheckpoint, VideoClassifier


@every_model
def test_a_compiled_network_learns_the_same_and_keeps_its_names(
    model: str, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    plain, compiled, graphs = Losses(), Losses(), []
    last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=2)
    short = {"limit_train_batches": 2, "limit_val_batches": 0}

    def net() -> VideoClassifier:
        return steady(module(model=model, mixup=0.0, strength=0.0), depth=0.5)

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(len(inputs))
        return graph.forward

    trainer(plain, epochs=1, **short).fit(net(), *loaders())
    torch.compiler.reset()
    trainer(Compile(backend), compiled, last, epochs=1, **short).fit(net(), *loaders())
    assert graphs
    assert compiled.losses == pytest.approx(plain.losses, rel=1e-4)
    assert_same(compiled.weights[-1], plain.weights[-1], 1e-4)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["state_dict"].keys() == net().state_dict().keys()
