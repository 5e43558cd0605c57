"""What videos look like, as 64 bits a picture, and which look alike: one film twice, or clips of one camera."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8, UInt64
from scipy.fft import dctn
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SIDE, LOW = 32, 8
"""Side of the picture that is transformed, and how many of its lowest frequencies in each direction count."""
FLAT, STILL = 2.0, 4.0
"""Standard deviation in grey levels below which a picture shows nothing, and below which too little has changed from
one to the next: all such pictures are alike."""
PICTURES = 3
"""Pictures of a video."""
ALIKE, SAME_CHANGES = (12, 30), (24, 32)
"""Bits that may differ: of a picture and of all of them, where videos look alike; of a change and of all changes, in
the same film at another size or bit rate. Copies of 59 real clips in which something moves, at half the size or
a fifth of the bits, are within these limits but for one, of ten that show little but sky five; no two of 665 are."""
MIRRORED, UPSIDE_DOWN = 0x5555555555555555, 0x00FF00FF00FF00FF
"""The bits of odd frequencies along a row and along a column, whose signs change where a picture is turned so."""
TURNS = (MIRRORED, UPSIDE_DOWN, MIRRORED ^ UPSIDE_DOWN)
"""The last is half a turn."""
SAME_TURNED = (12, 24)
"""Bits that may differ of a picture and of all of them, in a film that is turned. Of 399 such copies of 133 real clips,
by which they were chosen, 384 are within these limits; no two of 665 clips are."""
ROWS = 512
"""Videos that are compared with all others at once."""


def appearance(pictures: UInt8[np.ndarray, "pictures h w 3"]) -> list[int | None]:
    """Return the hash of each picture of a video, then that of each change from one to the next.

    Pictures tell a camera from others, changes one film from another of the same camera.
    """
    grey = pictures.mean(3)
    changes = [perceptual_hash(change, STILL) for change in np.diff(grey, axis=0)]
    return [perceptual_hash(picture, FLAT) for picture in grey] + changes


def shows_nothing(hashes: Sequence[int | None] | None) -> bool:
    """Return whether all pictures of a video are of one grey or nearly, by what ``appearance`` returned of it."""
    if not hashes:
        return False
    return all(each is None for each in hashes[:PICTURES])


def perceptual_hash(grey: Float[np.ndarray, "h w"], least: float) -> int | None:
    """Return 64 bits of what a picture looks like: the signs of its lowest frequencies; None where it shows nothing.

    That is where grey levels deviate by less than ``least``. They are averaged into 32 x 32 fields and transformed
    (DCT); a bit says whether a frequency is above the median of the lowest 8 x 8, as in pHash (Zauner 2010). Another
    size, codec or brightness changes few bits.
    """
    if grey.std() < least:
        return None
    frequencies = dctn(_average(_average(grey, SIDE).T, SIDE).T, norm="ortho")[:LOW, :LOW].ravel()
    bits = frequencies > np.median(frequencies)
    return int(np.packbits(bits).view(">u8")[0])


def _average(rows: Float[np.ndarray, "n m"], number: int) -> Float[np.ndarray, "number m"]:
    """Return rows averaged into a number of bands, of which none is empty."""
    edges = np.linspace(0, len(rows), number + 1)
    first = np.minimum(edges[:-1].astype(int), len(rows) - 1)
    last = np.maximum(np.ceil(edges[1:]).astype(int), first + 1)
    sums = np.vstack([np.zeros_like(rows[:1]), rows.cumsum(0)])
    return (sums[last] - sums[first]) / (last - first)[:, None]


def groups_of_alike(hashes: Sequence[Sequence[int | None]], most: tuple[int, int]) -> list[list[int]]:
    """Return the groups of videos, by their numbers, whose hashes are alike, the largest group first.

    ``most`` are the bits that may differ, of a hash and of all hashes together. A video counts where it has as many
    hashes as others, none of them None. Who looks like one of a group belongs to it. Time grows with the square of the
    number: 10,000 take seconds.
    """
    if not (length := max(map(len, hashes), default=0)):
        return []
    complete, bits = _complete(hashes, length)
    left, right = _alike_pairs(bits, most)
    groups = [[complete[row] for row in group] for group in connected_groups(left, right, len(bits))]
    return sorted(groups, key=lambda group: (-len(group), group))


def turned_copies(hashes: Sequence[Sequence[int | None]]) -> list[list[int]]:
    """Return the pairs of videos, by their numbers, of which one looks like the other mirrored or upside down.

    Their pictures look alike once one is turned, and so do the changes that both have.
    """
    complete, bits = _complete([of_video[:PICTURES] for of_video in hashes], PICTURES)
    pairs = []
    for turn in TURNS:
        for left, right in _alike_pairs(bits, SAME_TURNED, turn).T.tolist():
            first, second = (hashes[complete[row]][PICTURES:] for row in (left, right))
            changes = zip(first, second, strict=False)
            different = [(a ^ b ^ turn).bit_count() for a, b in changes if a is not None and b is not None]
            if max(different, default=0) <= SAME_CHANGES[0] and sum(different) <= SAME_CHANGES[1]:
                pairs.append([complete[left], complete[right]])
    return pairs


def _complete(
    hashes: Sequence[Sequence[int | None]], length: int
) -> tuple[list[int], UInt64[np.ndarray, "n pictures"]]:
    """Return the numbers of the videos that have so many hashes, none of them None, and these."""
    complete = [n for n, of_video in enumerate(hashes) if len(of_video) == length and None not in of_video]
    return complete, np.array([hashes[n] for n in complete], np.uint64).reshape(len(complete), length)


def _alike_pairs(
    bits: UInt64[np.ndarray, "n pictures"], most: tuple[int, int], turn: int = 0
) -> Int[np.ndarray, "2 pairs"]:
    """Return the pairs of rows that are alike once the bits of ``turn`` change in one of them."""
    pairs = [_alike(bits, bits ^ np.uint64(turn), begin, *most) for begin in range(0, len(bits), ROWS)]
    return np.concatenate(pairs, 1) if pairs else np.zeros((2, 0), int)


def connected_groups(left: Int[np.ndarray, " pairs"], right: Int[np.ndarray, " pairs"], number: int) -> list[list[int]]:
    """Return the groups of so many rows that pairs of rows connect, each of two rows or more."""
    graph = coo_matrix((np.ones(len(left)), (left, right)), (number, number))
    groups: dict[int, list[int]] = {}
    for row, of_row in enumerate(connected_components(graph, directed=False)[1].tolist()):
        groups.setdefault(of_row, []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def _alike(
    bits: UInt64[np.ndarray, "n pictures"],
    others: UInt64[np.ndarray, "n pictures"],
    begin: int,
    most: int,
    most_of_all: int,
) -> Int[np.ndarray, "2 pairs"]:
    """Return the pairs of a part of the videos with those of ``others`` that come behind them."""
    part = bits[begin : begin + ROWS]
    total = np.zeros((len(part), len(bits) - begin), np.uint16)
    alike: Bool[np.ndarray, "part others"] = np.ones(total.shape, bool)
    for picture in range(bits.shape[1]):
        different = np.bitwise_count(part[:, picture, None] ^ others[None, begin:, picture])
        alike &= different <= most
        total += different
    rows, columns = np.nonzero(np.triu(alike & (total <= most_of_all), 1))
    return np.stack([rows + begin, columns + begin])
