"""The record of a checkpoint: the configuration of its network and data, in plain values."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from hydra.utils import instantiate
from torch import nn

from vivit.checkpoints.tensor_checks import check_finite
from vivit.errors import CheckpointError, ConfigError, UserError
from vivit.models import FactorisedEncoder, Network, SpatioTemporal, Tokeniser, Tubelets, UniformFrames
from vivit.models.blocks import MLP, Block
from vivit.models.encoder import Encoder
from vivit.models.factorised_self_attention import FactorisedSelfAttentionBlock

ALLOWED_MODULES = ("vivit.models", "vivit.data", "vivit.training.regularisation")
"""Modules whose classes a record may name: networks, data sets, and how clips are sampled."""
POS_EMBED_MODULE = "vivit.models.pos_embed"
"""The one module whose functions it may name as well."""
CONFIG_NAMES = {
    "SpatioTemporal": "spatiotemporal",
    "FactorisedEncoder": "factorised_encoder",
    "FactorisedSelfAttention": "factorised_self_attention",
    "FactorisedDotProduct": "factorised_dot_product",
}
"""Name of every architecture's configuration."""


def resolve_checkpoint_file(path: str) -> Path:
    """Return the path of a checkpoint. Raises ConfigError about ``ckpt_path`` where there is no such file."""
    if not Path(path).is_file():
        raise ConfigError(
            "ckpt_path", path, "there is no such file", "set a file; a run's are in <run folder>/checkpoints"
        )
    return Path(path)


def read_record(file: Path) -> dict[str, Any]:
    """Return the record of a checkpoint: plain values that name classes of ``ALLOWED_MODULES`` alone.

    Nothing of the file is trusted: no pickled object is built. Raises CheckpointError.
    """
    if not is_zipfile(file):
        raise CheckpointError(file, "is not a checkpoint of this repository: torch.save did not write it")
    try:
        record = dict(torch.load(file, map_location="cpu", weights_only=True, mmap=True)["vivit"])
    except Exception as error:
        raise CheckpointError(
            file, f"is not a checkpoint of this repository ({type(error).__name__}: {error})"
        ) from None
    for part, values in record.items():
        if part != "heads":  # names of classes, of which nothing is built
            _check(values, file, part)
    return record


def is_vivit_checkpoint(file: Path) -> bool:
    """Whether a file, of PyTorch or not, is a checkpoint of this repository, with a record."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception:
        return False
    return isinstance(content, Mapping) and "vivit" in content


def check_weights(network: nn.Module, file: Path) -> None:
    """Raise CheckpointError, with file and tensor, where a network of a file has values that are NaN or infinite."""
    for name, tensor in network.state_dict().items():
        check_finite(file, name, tensor, "nothing was written")


def load_network(file: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network of a checkpoint, with its weights, and the record."""
    record = read_record(resolve_checkpoint_file(str(file)))
    network = build_network(record)
    state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    weights = {name.removeprefix("network."): tensor for name, tensor in state.items() if name.startswith("network.")}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(file, f"its weights are not those of its record: {error}") from None
    return network, record


def build_network(record: Mapping[str, Any]) -> nn.Module:
    """Return the network of a record with random weights."""
    return instantiate(record["model"], classes=sum(map(len, record["heads"].values())), _convert_="all")


def model_record(net: Network) -> dict[str, Any]:
    """Return the arguments that build a network, all but the number of classes. What training adds is left at zero."""
    frames, height, width = net.clip_size
    dense = [part.out_features for part in net.head.pre_logits if isinstance(part, nn.Linear)]
    record: dict[str, Any] = {
        "_target_": f"vivit.models.{type(net).__name__}",
        "tokeniser": _tokeniser_record(net.tokeniser),
        **{"frames": frames, "height": height, "width": width},
        "representation": dense[0] if dense else None,
        "gelu": next(part.gelu for part in net.modules() if isinstance(part, MLP)),
    }
    if isinstance(net, FactorisedEncoder):
        spatial = _encoder_record(net.spatial)
        temporal = _encoder_record(net.temporal) if isinstance(net.temporal, Encoder) else spatial | {"depth": 0}
        return record | spatial | {f"temporal_{key}": value for key, value in temporal.items()} | _pool(net.spatial)
    record |= _encoder_record(net.encoder)
    if isinstance(block := net.encoder.blocks[0], FactorisedSelfAttentionBlock):
        record["order"] = block.order
    return record | (_pool(net.encoder) if isinstance(net, SpatioTemporal) else {})


def model_name(net: Network) -> str:
    """Return the name of a network's configuration."""
    if isinstance(net, FactorisedEncoder) and not isinstance(net.temporal, Encoder):
        return "average_pool"
    return CONFIG_NAMES[type(net).__name__]


def _check(node: Any, file: Path, part: str) -> None:
    """Raise CheckpointError for whatever Hydra would build that is not an object of ours from plain values."""
    if isinstance(node, Mapping):
        if "_target_" in node and not _is_allowed(node["_target_"]):
            raise CheckpointError(
                file,
                f"names {node['_target_']}, which is no model or data set of this version of the repository",
                key=part,
            )
        node = list(node.values())
    if isinstance(node, list | tuple):
        for value in node:
            _check(value, file, part)
    elif isinstance(node, str) and "${" in node:
        raise CheckpointError(file, f"has the interpolation {node}; a checkpoint may only have plain values", key=part)
    elif not isinstance(node, str | int | float | None):
        raise CheckpointError(
            file, f"contains a {type(node).__name__}; a checkpoint may only have plain values", key=part
        )


def _is_allowed(target: Any) -> bool:
    """Whether a target is a module of ours and, in it, something that ``ALLOWED_MODULES`` define.

    The spelling alone is not enough: Hydra continues from a module to what that imports, and to methods.
    """
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    if not _is_allowed_module(module):
        return False
    try:
        value = getattr(import_module(module), name, None)
    except ImportError:
        return False
    home = getattr(value, "__module__", None)
    if not isinstance(home, str):
        return False
    return _is_allowed_module(home) if isinstance(value, type) else home == POS_EMBED_MODULE


def _is_allowed_module(module: str) -> bool:
    return any(module == allowed or module.startswith(f"{allowed}.") for allowed in ALLOWED_MODULES)


def _tokeniser_record(tokeniser: Tokeniser) -> dict[str, Any]:
    record: dict[str, Any] = {"_target_": f"vivit.models.{type(tokeniser).__name__}", "dim": tokeniser.dim}
    if isinstance(tokeniser, Tubelets):
        return record | {"tubelet": list(tokeniser.tubelet)}
    if isinstance(tokeniser, UniformFrames):
        return record | {"frames": tokeniser.frames, "patch": list(tokeniser.patch)}
    raise UserError(f"a tokeniser of type {type(tokeniser).__name__} cannot be described in a checkpoint's record")


def _encoder_record(encoder: Encoder) -> dict[str, int]:
    block = encoder.blocks[0]
    if isinstance(block, FactorisedSelfAttentionBlock):
        attention, mlp = block.space.attention, block.mlp
    elif isinstance(block, Block):
        attention, mlp = block.attention, block.mlp
    else:
        raise UserError(f"a block of type {type(block).__name__} cannot be described in a checkpoint's record")
    widen = next(part for part in mlp if isinstance(part, nn.Linear))
    return {"depth": len(encoder.blocks), "heads": attention.heads, "mlp_dim": widen.out_features}


def _pool(encoder: Encoder) -> dict[str, str]:
    return {"pool": "mean" if encoder.cls is None else "cls"}
