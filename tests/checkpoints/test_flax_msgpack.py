"""Checkpoint files: every layout is read, and a file that is none is refused with one clear error."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import torch
from networks import make_network
from torch import nn

from vivit.checkpoints import export_scenic, model_from_scenic
from vivit.checkpoints.formats.flax_msgpack import read_branches
from vivit.errors import CheckpointError
from vivit.models import FactorisedEncoder, Tubelets

CLIP = {"frames": 4, "height": 8, "width": 6}
Tree = dict[str, Any]


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Parameters of a factorised encoder; in scenic's names, from a network of ours."""
    net = make_network(
        FactorisedEncoder,
        Tubelets(dim=4, tubelet=(2, 4, 3)),
        **CLIP,
        num_classes=3,
        depth=2,
        num_heads=2,
        mlp_dim=5,
        temporal_depth=1,
        temporal_num_heads=1,
        temporal_mlp_dim=6,
    )
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return export_scenic(net)


def load(source: Any) -> dict[str, np.ndarray]:
    return export_scenic(model_from_scenic(source, model="factorised_encoder", **CLIP)[0])


def nested(flat: dict[str, Any]) -> Tree:
    tree: Tree = {}
    for name, value in flat.items():
        *branches, leaf = name.split("/")
        node = tree
        for branch in branches:
            node = node.setdefault(branch, {})
        node[leaf] = value
    return tree


def ext(array: np.ndarray, code: int = 1, **change: Any) -> msgpack.ExtType:
    content = {"shape": list(array.shape), "dtype": array.dtype.name, "data": array.tobytes()} | change
    return msgpack.ExtType(code, msgpack.packb(list(content.values())))


def pieces(array: np.ndarray) -> Tree:
    flat = array.ravel()
    return {
        "__msgpack_chunked_array__": True,
        "shape": {str(i): length for i, length in enumerate(array.shape)},
        "chunks": {str(i): ext(flat[start : start + 3]) for i, start in enumerate(range(0, len(flat), 3))},
    }


def tree_of(arrays: dict[str, np.ndarray]) -> Tree:
    return nested({name: ext(array) for name, array in arrays.items()})


def state(parameters: Tree) -> Tree:
    """What the release-day trainer saves, with a decoy where the momentum is."""
    decoy = {name: {"momentum": ext(np.zeros(2, "float32"))} for name in parameters}
    return {
        "accum_train_time": ext(np.array(3, "int32"), code=3),
        "global_step": 7,
        "model_state": {},
        "optimizer": {"state": {"step": ext(np.array(7)), "param_states": decoy}, "target": parameters},
        "rng": ext(np.zeros(2, "uint32")),
        "odd": msgpack.ExtType(2, msgpack.packb([1.0, 2.0])),
    }


def before_linen(tree: Tree) -> Tree:
    """Number the parts of each block as flax did before Linen: one count for all."""
    order = ("LayerNorm_0", "MultiHeadDotProductAttention_0", "LayerNorm_1", "MlpBlock_0")
    old = {name: f"{name[:-2]}_{i}" for i, name in enumerate(order)}
    return {old.get(name, name): before_linen(part) if isinstance(part, dict) else part for name, part in tree.items()}


LAYOUTS: dict[str, Callable[[dict[str, np.ndarray]], Tree]] = {
    "optim": lambda arrays: state(tree_of(arrays)),
    "optax": lambda arrays: {"opt_state": {"0": {}}, "global_step": 7, "params": tree_of(arrays)},
    "extra level": lambda arrays: state({"params": tree_of(arrays)}),
    "before Linen": lambda arrays: state({"params": before_linen(tree_of(arrays))}),
    "in pieces": lambda arrays: {"params": nested({name: pieces(array) for name, array in arrays.items()})},
    "empty map": lambda arrays: {"params": tree_of(arrays) | {"pre_logits": {}}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(arrays: dict[str, np.ndarray], layout: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(msgpack.packb(LAYOUTS[layout](arrays)))
    loaded = load(path)
    assert loaded.keys() == arrays.keys()
    assert all(loaded[name].tobytes() == array.tobytes() for name, array in arrays.items())


def test_report_names_what_was_passed_over(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(msgpack.packb(state(tree_of(arrays))))
    _, report = model_from_scenic(str(path), model="factorised_encoder", **CLIP)
    assert set(report.ignored) == {"accum_train_time", "global_step", "model_state", "optimizer/state", "rng", "odd"}
    assert "  ignored   optimizer/state: not a parameter" in str(report).splitlines()


def test_missing_block_is_not_covered_up_by_renumbering(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    tree = tree_of({name: array for name, array in arrays.items() if "SpatialTransformer/encoderblock_0" not in name})
    path.write_bytes(msgpack.packb(state({"params": tree})))
    with pytest.raises(CheckpointError) as error:
        load(path)
    assert error.value.key.startswith("SpatialTransformer/encoderblock_0")


class Explosive(str):
    """Makes a folder of this name when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self),)


@pytest.mark.parametrize("dump", [pickle.dump, torch.save])
def test_pickles_are_not_opened(dump: Callable[..., None], tmp_path: Path) -> None:
    mark, path = tmp_path / "executed", tmp_path / "checkpoint"
    with open(path, "wb") as file:
        dump(Explosive(str(mark)), file)
    with pytest.raises(CheckpointError) as error:
        load(path)
    assert error.value.file == str(path)
    assert not mark.exists()


MATRIX = np.ones((2, 3), "float32")
DEEP: Any = {}
for _ in range(200):
    DEEP = {"x": DEEP}

# What a hostile or foreign file has in place of a parameter; and a word of the message.
LEAVES: dict[str, tuple[Any, str]] = {
    "object": (ext(MATRIX, dtype="object"), "dtype 'object'"),
    "O": (ext(MATRIX, dtype="O"), "dtype 'O'"),
    "void": (ext(MATRIX, dtype="V4"), "dtype 'V4'"),
    "text": (ext(MATRIX, dtype="U1"), "dtype 'U1'"),
    "bfloat16": (ext(MATRIX, dtype="bfloat16"), "dtype 'bfloat16'"),
    "half": (ext(MATRIX.astype("float16")), "is float16"),
    "other type": (ext(MATRIX, code=4), "extension type 4"),
    "timestamp": (msgpack.Timestamp(1), "Timestamp"),
    "number": (1.5, "float"),
    "nothing": (None, "NoneType"),
    "list": ([1.0], "list"),
    "complex": (msgpack.ExtType(2, msgpack.packb([1.0, 2.0])), "complex128"),
    "bad complex": (msgpack.ExtType(2, msgpack.packb(["a", None])), "complex"),
    "too few bytes": (ext(MATRIX, data=b"1234"), "4 bytes"),
    "huge shape": (ext(MATRIX, shape=[2**62, 2**62]), "24 bytes"),
    "negative shape": (ext(MATRIX, shape=[-2, -3]), "not a shape"),
    "true shape": (ext(MATRIX, shape=[True, 6]), "not a shape"),
    "nested shape": (ext(MATRIX, shape=[[2], 3]), "not a shape"),
    "many axes": (ext(np.ones(1, "float32"), shape=[1] * 33), "strange"),
    "empty": (ext(np.zeros((0, 2**40), "float32")), "not empty"),
    "no content": (msgpack.ExtType(1, b""), "strange"),
    "garbage": (msgpack.ExtType(1, b"\xc1\xc1"), "strange"),
    "huge content": (msgpack.ExtType(1, b"\xdd\xff\xff\xff\xff"), "strange"),
    "deep": (DEEP, "nested more than"),
    "pieces missing": (pieces(MATRIX) | {"chunks": {"0": ext(MATRIX.ravel()), "2": ext(MATRIX.ravel())}}, "numbered"),
    "pieces too few": (pieces(MATRIX) | {"chunks": {"0": ext(MATRIX.ravel()[:2])}}, "add up"),
    "pieces none": (pieces(MATRIX) | {"chunks": {}}, "none"),
    "pieces in pieces": (pieces(MATRIX) | {"chunks": {"0": pieces(MATRIX)}}, "not arrays"),
    "pieces negative": (pieces(MATRIX) | {"shape": {"0": -2, "1": -3}}, "add up"),
}


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_that_are_no_parameters(arrays: dict[str, np.ndarray], leaf: str, tmp_path: Path) -> None:
    value, message = LEAVES[leaf]
    path = tmp_path / "checkpoint"
    path.write_bytes(msgpack.packb({"params": tree_of(arrays) | {"strange": value}}))
    with pytest.raises(CheckpointError, match=message) as error:
        load(path)
    assert error.value.file == str(path) and "strange" in str(error.value)


FILES: dict[str, bytes] = {
    "empty": b"",
    "text": b"not a checkpoint\n",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00",
    "zip": b"PK\x03\x04" + bytes(100),
    "numpy": b"\x93NUMPY\x01\x00" + bytes(100),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "zeros": bytes(1000),
    "list": msgpack.packb([1, 2, 3]),
    "huge map": b"\xdf\xff\xff\xff\xff",
    "huge map within": b"\x81\xa6params\xdf\xff\xff\xff\xff",
    "huge list within": b"\x81\xa6params\x81\xa1x\xdd\xff\xff\xff\xff",
    "huge bytes": b"\x81\xa6params\x81\xa1x\xc6\xff\xff\xff\xff1234",
    "huge extension": b"\x81\xa6params\x81\xa1x\xc9\xff\xff\xff\xff\x011234",
    "huge, skipped": b"\x81\xa1x\xc9\xff\xff\xff\xff\x011234",
    "deep": b"\x81\xa6params" + b"\x81\xa1x" * 100_000,
    "deep, skipped": b"\x81\xa1x" + b"\x91" * 100_000,
    "numbers as keys": msgpack.packb({1: 2}),
    "numbers as keys within": msgpack.packb({"params": {1: 2}}),
    "slash": msgpack.packb({"params": {"a/b": {}}}),
    "same key twice": b"\x82\xa6params\x80\xa6params\x80",
    "same key twice within": b"\x81\xa6params\x82\xa1x\x80\xa1x\x80",
    "not UTF-8": b"\x81\xa6params\x81\xa1\xff\x80",
    "more behind": msgpack.packb({"params": {}}) + b"\x80",
    "no parameters": msgpack.packb({"params": {}, "optimizer": {"target": {}}}),
    "nothing": msgpack.packb({}),
    "parameters are an array": msgpack.packb({"params": ext(MATRIX)}),
    "parameters are nothing": msgpack.packb({"params": None}),
    "level is an array": msgpack.packb({"params": {"params": ext(MATRIX)}}),
    "optimizer is a number": msgpack.packb({"optimizer": 3}),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_checkpoints(name: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(FILES[name])
    with pytest.raises(CheckpointError) as error:
        load(path)
    assert error.value.file == str(path)


def test_truncated_anywhere(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    whole = msgpack.packb(state(tree_of(arrays)))
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="ends too early"):
            load(path)


def test_damaged_anywhere(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Whatever a byte is changed to, the file is read or refused by name; nothing else is raised."""
    path = tmp_path / "checkpoint"
    few = {name: array for name, array in arrays.items() if "encoderblock" not in name}
    branches = {"a": tree_of(few), "b": {"in pieces": pieces(MATRIX)}}
    whole = msgpack.packb({**branches, "rng": ext(np.zeros(2, "uint32"))})
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(1000):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_branches(path, branches)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 100


def test_folders_and_missing_files(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CheckpointError) as error:
            load(path)
        assert error.value.file == str(path)
