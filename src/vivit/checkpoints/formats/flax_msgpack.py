"""Checkpoint files as flax writes them (``flax.serialization.to_bytes``), read and written without flax.

Such a file is one msgpack map. An array is an extension value of type 1 whose content is msgpack again: shape, name of
the dtype, bytes in C order. A NumPy scalar is type 3 with the same content, a complex number type 2. Arrays above 2^30
bytes are stored in pieces, in a map with the key ``__msgpack_chunked_array__``. Nothing in it can refer to code, so
nothing is executed; sizes that a file claims are trusted only up to the length of the file.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
import numpy as np

from vivit.errors import CheckpointError

BRANCHES = ("params", "optimizer/target")
"""Parameters in a checkpoint: written with optax, or before that with flax.optim. The first one wins."""
ARRAY, COMPLEX, SCALAR = 1, 2, 3
CHUNKED = "__msgpack_chunked_array__"
DEEPEST = 32
MOST_AXES = 32
MOST_ENTRIES = 1 << 16
LARGEST = 1 << 30
NUMBERS = frozenset(
    [
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    ]
)

Tree = dict[str, Any]


def read_parameters(
    source: str | os.PathLike[str] | Mapping[str, Any],
) -> tuple[str, dict[str, np.ndarray], tuple[str, ...]]:
    """Return a source's label, its parameters by '/'-joined name, and the names of the branches that are none."""
    if isinstance(source, Mapping):
        return "the parameters", {name: np.asarray(array) for name, array in source.items()}, ()
    branches, skipped = read_branches(source, BRANCHES)
    for name in BRANCHES:
        tree = branches.pop(name, None)
        if not tree:
            continue
        if set(tree) == {"params"} and isinstance(tree["params"], dict):
            tree = renumber_modules(tree["params"])
        return os.fspath(source), dict(flatten(tree)), (*skipped, *branches)
    raise CheckpointError(source, f"holds no parameters: there is nothing under {' or '.join(BRANCHES)}")


def renumber_modules(tree: Tree) -> Tree:
    """Return a tree of parameters with Linen's numbers of submodules.

    Before Linen, flax numbered all submodules in one row: LayerNorm_0, MlpBlock_3, ... Since then it counts every class
    separately. Blocks are left alone: their numbers were always set by hand, and one that is missing has to be noticed.
    """
    counts: Counter[str] = Counter()
    renumbered: Tree = {}
    for name in sorted(tree, key=_natural_order):
        new = name
        if (match := re.fullmatch(r"(.*)_\d+", name)) and match[1] != "encoderblock":
            new = f"{match[1]}_{counts[match[1]]}"
            counts[match[1]] += 1
        renumbered[new] = renumber_modules(tree[name]) if isinstance(tree[name], dict) else tree[name]
    return renumbered


def _natural_order(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested maps by '/'-joined name."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def read_branches(path: str | os.PathLike[str], branches: Iterable[str]) -> tuple[dict[str, Tree], tuple[str, ...]]:
    """Return those of ``branches``, which are '/'-joined paths, that the file has, and the names that were skipped.

    A branch is a nested map with NumPy arrays as leaves. The rest, such as the optimizer's state, is skipped without
    being unpacked, so a file costs as much memory as its branches. Raises CheckpointError for a file that is no such
    checkpoint, that ends early, or whose branches hold anything but numbers.
    """
    if Path(path).is_dir():
        raise CheckpointError(path, "is a folder, such as newer scenic writes with Orbax", "use a single file of flax")
    if not Path(path).is_file():
        raise CheckpointError(path, "there is no such file")
    unpacked: dict[str, Tree] = {}
    skipped: list[str] = []
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            unpacker = _unpacker(file, size)
            _unpack_branches(unpacker, "", frozenset(branches), unpacked, skipped)
            if unpacker.tell() != size:
                raise ValueError(f"its map ends at byte {unpacker.tell()} of {size}")
            trees = {name: _arrays(tree, name) for name, tree in unpacked.items()}
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        why = "it ends too early" if isinstance(error, msgpack.OutOfData) else error
        raise CheckpointError(path, f"not a readable flax checkpoint: {why}") from error
    return trees, tuple(skipped)


def read_plain(path: str | os.PathLike[str], name: str) -> Any:
    """Return one entry of the outermost map as plain values; None if it is missing. Raises CheckpointError as above."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            unpacker = _unpacker(file, size)
            for _ in range(unpacker.read_map_header()):
                if unpacker.unpack() == name:
                    return unpacker.unpack()
                unpacker.skip()
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise CheckpointError(path, f"not a readable flax checkpoint: {error}") from error
    return None


def write_branches(path: str | os.PathLike[str], branches: Tree) -> None:
    """Write nested maps of NumPy arrays and plain values. Raises FileExistsError where the file exists.

    No array may have more than 2^30 bytes: flax would write that in pieces.
    """
    packed = msgpack.packb(branches, default=_packed)
    with Path(path).open("xb") as file:
        file.write(packed)


def _packed(array: np.ndarray) -> msgpack.ExtType:
    if array.nbytes > LARGEST:
        raise ValueError(f"an array of {array.nbytes:,} bytes is too large for one piece of a flax checkpoint")
    return msgpack.ExtType(ARRAY, msgpack.packb([array.shape, array.dtype.name, array.tobytes()]))


def _unpacker(file: BinaryIO, size: int) -> msgpack.Unpacker:
    longest = min(max(size, 1), 2**31 - 1)
    return msgpack.Unpacker(
        file,
        max_buffer_size=longest,
        max_ext_len=longest,
        max_map_len=MOST_ENTRIES,
        # msgpack makes room for a list before it reads it
        max_array_len=MOST_ENTRIES,
        object_pairs_hook=_map,
    )


def _map(pairs: list[tuple[Any, Any]]) -> Tree:
    tree: Tree = {}
    for key, value in pairs:
        if not isinstance(key, str) or "/" in key or key in tree:
            raise ValueError(f"the key {key!r:.80} is not a plain name, or comes twice")
        tree[key] = value
    return tree


def _unpack_branches(
    unpacker: msgpack.Unpacker, prefix: str, branches: frozenset[str], unpacked: dict[str, Tree], skipped: list[str]
) -> None:
    """Go through one map: unpack the branches into ``unpacked``, note the rest in ``skipped``."""
    for _ in range(unpacker.read_map_header()):
        key = unpacker.unpack()
        name = f"{prefix}{key}"
        if not isinstance(key, str) or name in unpacked or name in skipped:
            raise ValueError(f"the key {name!r:.80} is not a plain name, or comes twice")
        if name in branches:
            unpacked[name] = unpacker.unpack()
            if not isinstance(unpacked[name], dict):
                raise ValueError(f"{name!r} is of type {type(unpacked[name]).__name__}, not a map of arrays")
        elif any(branch.startswith(f"{name}/") for branch in branches):
            _unpack_branches(unpacker, f"{name}/", branches, unpacked, skipped)
        else:
            unpacker.skip()
            skipped.append(name)


def _arrays(value: Any, name: str, depth: int = 0) -> Any:
    """Return a tree with NumPy arrays as leaves; the argument is emptied meanwhile to save memory."""
    if depth > DEEPEST:
        raise ValueError(f"{name!r:.80} is nested more than {DEEPEST} levels deep")
    if isinstance(value, msgpack.ExtType):
        return _array(value, name)
    if not isinstance(value, dict):
        raise ValueError(f"{name!r} is of type {type(value).__name__}, not an array")
    if CHUNKED in value:
        return _joined(value, name)
    return {key: _arrays(value.pop(key), f"{name}/{key}", depth + 1) for key in list(value)}


def _array(value: msgpack.ExtType, name: str) -> np.ndarray:
    if value.code not in (ARRAY, COMPLEX, SCALAR):
        raise ValueError(f"{name!r} has the extension type {value.code}, which flax does not write")
    try:
        content = msgpack.unpackb(value.data, max_array_len=MOST_AXES)
    except (ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"{name!r} is an array that cannot be read: {error}") from error
    match content:
        case [float(real), float(imaginary)] if value.code == COMPLEX:
            return np.asarray(complex(real, imaginary))
        case [list(shape), str(dtype), bytes(data)] if value.code != COMPLEX and _is_shape(shape):
            return _from_bytes(shape, dtype, data, name)
    raise ValueError(f"{name!r} is not a shape, a dtype and bytes, nor a complex number")


def _is_shape(shape: Iterable[Any]) -> bool:
    return all(type(axis) is int and axis >= 0 for axis in shape)


def _from_bytes(shape: list[int], dtype: str, data: bytes, name: str) -> np.ndarray:
    if dtype not in NUMBERS:
        raise ValueError(f"{name!r} has the dtype {dtype!r:.40}, which is none of {', '.join(sorted(NUMBERS))}")
    if len(data) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"{name!r} has {len(data)} bytes, which are not {dtype} of the shape {tuple(shape)}")
    return np.frombuffer(data, dtype).reshape(shape)


def _numbered(values: Any, name: str) -> list[Any]:
    if not isinstance(values, dict) or set(values) != {str(i) for i in range(len(values))}:
        raise ValueError(f"{name!r} is an array in pieces, but its shape or pieces are not numbered from 0")
    return [values[str(i)] for i in range(len(values))]


def _joined(value: Tree, name: str) -> np.ndarray:
    """Return a large array from its pieces; shape and pieces are maps with the keys '0', '1', ..."""
    axes, chunks = _numbered(value.get("shape"), name), _numbered(value.get("chunks"), name)
    if not all(isinstance(chunk, msgpack.ExtType) for chunk in chunks):
        raise ValueError(f"{name!r} is an array in pieces, but its pieces are not arrays")
    pieces = [_array(chunk, f"{name}/{i}") for i, chunk in enumerate(chunks)]
    if {(piece.ndim, piece.dtype) for piece in pieces} != {(1, pieces[0].dtype if pieces else None)}:
        raise ValueError(f"{name!r} is an array in pieces, but has none, or they differ in dtype or have several axes")
    if not _is_shape(axes) or math.prod(axes) != sum(map(len, pieces)):
        raise ValueError(f"{name!r} is an array in pieces that do not add up to its shape")
    return np.concatenate(pieces).reshape(axes)
