"""What tests of several rooms share."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import nn

from vivit import launch
from vivit.data.datasets import motion

REPOSITORY = Path(__file__).parents[1]
SHARED = Path(os.environ.get("VIVIT_SHARED") or REPOSITORY.parent / "shared")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference material, which is no part of the project."""
    if not SHARED.is_dir():
        pytest.skip(f"the reference material is not at {SHARED}: set VIVIT_SHARED to the folder that has it")
    return SHARED


@pytest.fixture
def untyped() -> Iterator[None]:
    """Switch the shape and type checks of the test run off, to see what a user sees who gives a wrong value."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def small_motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the embedded data set with few videos; two ranks do not divide those of the test."""
    videos = {"train": 48, "val": 16, "test": 17}
    root = tmp_path_factory.mktemp("data") / "motion"
    motion.generate(root, [replace(split, videos=videos[split.name]) for split in motion.SPLITS])
    return root


@pytest.fixture
def fill() -> Callable[[nn.Module], None]:
    """Give every parameter, those that start at zero too, numbers that depend on its place only."""

    def fill(network: nn.Module) -> None:
        rng = np.random.default_rng(0)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.from_numpy(rng.normal(0, 0.3, tuple(parameter.shape))))

    return fill


@pytest.fixture(scope="session")
def reference_numbers() -> Mapping[str, np.ndarray]:
    """Training-side numbers of the authors' own code, by name."""
    file = SHARED / "golden" / "train_numerics.npz"
    if not file.is_file():
        pytest.skip(f"no reference numbers: {file.name} is not in the folder that VIVIT_SHARED names")
    with np.load(file) as numbers:
        return dict(numbers)


@pytest.fixture(scope="session")
def composed() -> Callable[..., DictConfig]:
    """Compose a configuration as a script would; with ``hydra=True`` also what Hydra itself is told."""
    launch.register_resolvers()

    def composed(*overrides: str, name: str = "train", hydra: bool = False) -> DictConfig:
        with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
            return compose(name, list(overrides), return_hydra_config=hydra)

    return composed
