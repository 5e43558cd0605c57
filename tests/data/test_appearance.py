"""Videos that look alike: the same film at another size, rate of bits or brightness, and no two others."""

from itertools import combinations
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films import film
from scipy.fft import dct
from scipy.ndimage import gaussian_filter

from vivit.data.datasets import VideoFolder
from vivit.data.index.alike import read_alike, write_alike
from vivit.data.index.appearance import (
    ALIKE,
    FLAT,
    LOW,
    MIRRORED,
    SIDE,
    STILL,
    UPSIDE_DOWN,
    appearance,
    groups_of_alike,
    perceptual_hash,
)
from vivit.data.index.index import read_index
from vivit.data.index.prepare import prepare


def picture(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Return a picture of smooth blobs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    pixels = np.zeros((height, width, 3))
    for _ in range(8):
        cy, cx, r = rng.random(3)
        pixels += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (0.02 + 0.05 * r))[..., None] * rng.uniform(-1, 1, 3)
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    return (20 + 200 * pixels).astype(np.uint8)


def hash_of(pixels: np.ndarray) -> int | None:
    return perceptual_hash(pixels.mean(2), FLAT)


def distance(a: int | None, b: int | None) -> int:
    assert a is not None
    assert b is not None
    return (a ^ b).bit_count()


def test_bits_are_those_of_the_transform_written_out() -> None:
    pixels = picture(0, SIDE, SIDE)
    basis = dct(np.eye(SIDE), norm="ortho", axis=0)
    low = (basis @ pixels.mean(2) @ basis.T)[:LOW, :LOW].ravel()
    expected = sum(int(bit) << (63 - place) for place, bit in enumerate(low > np.median(low)))
    assert hash_of(pixels) == expected


def test_size_brightness_and_noise_change_few_bits_and_other_pictures_many() -> None:
    for seed in range(10):
        reference = hash_of(picture(seed))
        noisy = picture(seed) + np.random.default_rng(seed).normal(0, 4, (96, 128, 3))
        same = [
            picture(seed, 48, 64), picture(seed, 288, 384), np.clip(noisy, 0, 255).astype(np.uint8),
            (picture(seed) * 0.7 + 20).astype(np.uint8),
        ]  # fmt: skip
        assert max(distance(reference, hash_of(pixels)) for pixels in same) <= 8
    others = [hash_of(picture(seed)) for seed in range(30)]
    assert min(distance(a, b) for a, b in combinations(others, 2)) > ALIKE[0]


@pytest.mark.parametrize("pixels", [np.full((20, 30, 3), 7, np.uint8), np.zeros((1, 1, 3), np.uint8)])
def test_an_empty_picture_is_like_no_other(pixels: np.ndarray) -> None:
    assert hash_of(pixels) is None
    assert groups_of_alike([[None, None, None], [None, None, None], []], ALIKE) == []


def test_groups_hold_those_that_look_alike_at_all_pictures() -> None:
    rng = np.random.default_rng(0)
    films = [[int(n) for n in rng.integers(0, 2**63, 3)] for _ in range(1200)]
    films[700] = [bits ^ 0b1011 for bits in films[3]]
    films[900] = [bits ^ 0b110000 for bits in films[700]]
    films[50] = [films[3][0], films[3][1], films[51][2]]  # one camera: the same first pictures, another end
    films[1100] = list(films[20])
    assert groups_of_alike(films, ALIKE) == [[3, 700, 900], [20, 1100]]


def test_bits_equal_a_search_of_every_pair() -> None:
    rng = np.random.default_rng(1)
    base = rng.integers(0, 2**63, (20, 3))
    flips = (rng.random((200, 3, 63)) < 0.06) @ (1 << np.arange(63))
    films = [[int(bits) for bits in base[n % 20] ^ flips[n]] for n in range(200)]
    close = [
        (a, b)
        for a, b in combinations(range(200), 2)
        if max(each := [distance(*pair) for pair in zip(films[a], films[b], strict=True)]) <= 12 and sum(each) <= 30
    ]
    groups = groups_of_alike(films, ALIKE)
    of = {number: k for k, group in enumerate(groups) for number in group}
    assert close
    assert all(of.get(a) == of.get(b) is not None for a, b in close)
    assert {number for pair in close for number in pair} == set(of)


def test_a_film_encoded_anew_looks_like_itself(shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "videos" / "kinetics_like").rglob("*.mp4"))[:4]
    for file in files:
        with av.open(str(file)) as container:
            frame = next(container.decode(video=0))
        small = frame.reformat(width=frame.width // 2, height=frame.height // 2)
        assert distance(
            hash_of(frame.to_ndarray(format="rgb24")), hash_of(small.to_ndarray(format="rgb24"))
        ) <= 4  # fmt: skip


def moving(seed: int, still: int) -> np.ndarray:
    """Return 30 frames of a pattern that passes by before that of ``still``: [f h w 3]."""
    passing = [np.roll(pattern(seed), 3 * n, axis=1) for n in range(30)]
    return np.stack([(0.5 * pattern(still) + 0.5 * pixels).astype(np.uint8) for pixels in passing])


def pattern(seed: int) -> np.ndarray:
    """Return a picture of many smooth spots, as rich as a real one: [96 128 3]."""
    spots = np.random.default_rng(seed).uniform(0, 255, (12, 16))
    smooth = gaussian_filter(np.kron(spots, np.ones((8, 8))), 4, mode="wrap")
    return np.repeat(np.clip(3 * (smooth - 127) + 127, 0, 255)[..., None], 3, 2)


def test_changes_tell_films_of_one_camera_apart_and_pictures_do_not() -> None:
    times = [0, 10, 20]
    one, other = moving(1, still=9)[times], moving(2, still=9)[times]
    small = one[:, ::2, ::2]
    a, b, c = appearance(one), appearance(small), appearance(other)
    assert len(a) == 5
    assert max(distance(x, y) for x, y in zip(a[3:], b[3:], strict=True)) <= 8
    assert sum(distance(x, y) for x, y in zip(a[3:], c[3:], strict=True)) > 40
    still = np.repeat(one[:1], 3, 0)
    assert appearance(still)[3:] == [None, None], "nothing changes"
    assert None not in appearance(still)[:3]
    assert (np.diff(one.mean(3), axis=0).std((1, 2)) > STILL).all()


def test_prepare_lists_films_and_cameras(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split / "x").mkdir(parents=True)
    for number in (1, 2, 3):
        film(tmp_path / "train" / "x" / f"{number}.mp4", moving(number, still=number), crf=18)
    film(tmp_path / "val" / "x" / "smaller.mp4", moving(1, still=1)[:, ::2, ::2], crf=28)
    film(tmp_path / "val" / "x" / "longer.mp4", moving(1, still=1), rate=15, crf=18)
    film(
        tmp_path / "val" / "x" / "camera.mp4",
        np.maximum(moving(2, still=2), pattern(2).astype(np.uint8) // 2 + 20),
        crf=18,
    )
    film(tmp_path / "val" / "x" / "other.mp4", moving(7, still=8), crf=18)
    prepare(VideoFolder(root=tmp_path), num_workers=1)
    numbers = read_alike(tmp_path / "prepared" / "alike.csv")
    groups = [{path for path, (group, _) in numbers.items() if group == number} for number in range(5)]
    assert {"train/x/1.mp4", "val/x/smaller.mp4", "val/x/longer.mp4"} in groups
    films = {path: film for path, (_, film) in numbers.items() if film >= 0}
    assert films["train/x/1.mp4"] == films["val/x/smaller.mp4"]
    assert films["train/x/1.mp4"] == films["val/x/longer.mp4"], "the same frames, at another rate"
    assert read_index(tmp_path / "prepared")["hashes"].null_count == 0
    content = (tmp_path / "prepared" / "alike.csv").read_bytes()
    prepare(VideoFolder(root=tmp_path), num_workers=1)
    assert (tmp_path / "prepared" / "alike.csv").read_bytes() == content


@pytest.mark.parametrize("turn", [(1, -1), (-1, 1), (-1, -1)])
def test_mirrored_and_upside_down_copies_are_films(tmp_path: Path, turn: tuple[int, int]) -> None:
    clips = [moving(number, still=number)[[0, 10, 20]] for number in range(12)]
    turned = [clip[:, :: turn[0], :: turn[1]] for clip in clips]
    rows = {f"{number:02}": row_of(appearance(clip)) for number, clip in enumerate([*clips, *turned])}
    rows["03"] = row_of(rows["03"]["hashes"], seconds=5.0)
    rows["16"] = row_of([*rows["16"]["hashes"][:3], 5, 2**60])
    write_alike(tmp_path / "alike.csv", rows)
    films = {path: film for path, (_, film) in read_alike(tmp_path / "alike.csv").items()}
    assert {path for path in films if films[path] >= 0} == {*rows} - {"03", "15", "04", "16"}, (
        "length or changes differ"
    )
    assert all(films[path] == films[f"{int(path) + 12}"] for path in films if int(path) < 12)


def test_a_turn_changes_the_bits_of_odd_frequencies() -> None:
    for seed in range(10):
        pixels = picture(seed)
        for turned, turn in ((pixels[:, ::-1], MIRRORED), (pixels[::-1], UPSIDE_DOWN)):
            assert distance(hash_of(pixels), hash_of(turned)) > 2 * ALIKE[0]
            assert distance(hash_of(pixels), (hash_of(turned) or 0) ^ turn) <= 8


def row_of(hashes: list[int | None], seconds: float = 4.0, digest: str | None = None) -> dict[str, Any]:
    return {"hashes": hashes, "seconds": seconds, "frames": None, "digest": digest}


def bits(number: int) -> int:
    """Return a number with that many bits set."""
    return (1 << number) - 1


@pytest.mark.parametrize(
    ("other", "seconds", "group", "film"),
    [
        ([0, 0, 0, 0, 0], 4.0, True, True),
        ([bits(12), 0, 0, 0, 0], 4.0, True, True),
        ([bits(13), 0, 0, 0, 0], 4.0, False, False),
        ([bits(10), bits(10), bits(10), 0, 0], 4.0, True, True),
        ([bits(11), bits(10), bits(10), 0, 0], 4.0, False, False),
        ([0, 0, 0, bits(24), 0], 4.0, True, True),
        ([0, 0, 0, bits(25), 0], 4.0, True, False),
        ([0, 0, 0, bits(16), bits(16)], 4.0, True, True),
        ([0, 0, 0, bits(17), bits(16)], 4.0, True, False),
        ([0, 0, 0, 0, 0], 4.07, True, True),
        ([0, 0, 0, 0, 0], 4.2, True, False),
        ([0, 0, 0, 0, None], 4.0, True, False),
        ([0, None, 0, 0, 0], 4.0, False, False),
    ],
)
def test_how_far_films_and_cameras_go(
    tmp_path: Path, other: list[int | None], seconds: float, group: bool, film: bool
) -> None:
    far = [2**63 - 1, 2**62, 5, 2**60, 9]
    rows = {"a": row_of([0] * 5), "b": row_of(other, seconds), "c": row_of([bits(40)] * 5), "d": row_of(list(far))}
    write_alike(tmp_path / "alike.csv", rows)
    numbers = read_alike(tmp_path / "alike.csv")
    assert numbers == ({"a": (0, 0 if film else -1), "b": (0, 0 if film else -1)} if group else {})


def test_videos_without_hashes_are_like_no_other(tmp_path: Path) -> None:
    assert groups_of_alike([[], [], []], ALIKE) == []
    write_alike(tmp_path / "alike.csv", {name: row_of([0, 0, 0]) | {"hashes": None} for name in "abc"})
    assert read_alike(tmp_path / "alike.csv") == {}
    write_alike(tmp_path / "alike.csv", {name: row_of([0, 0, 0]) for name in "abc"})  # of a version without changes
    assert read_alike(tmp_path / "alike.csv") == {"a": (0, -1), "b": (0, -1), "c": (0, -1)}


def test_copies_of_a_file_are_one_film_whatever_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {"a": row_of([None] * 5, digest="x"), "b": row_of([0] * 5, digest="y"), "c": row_of([None] * 5, digest="x")}
    write_alike(tmp_path / "alike.csv", rows)
    assert read_alike(tmp_path / "alike.csv") == {"a": (0, 0), "c": (0, 0)}
    monkeypatch.setattr("vivit.data.index.alike.MOST_VIDEOS", 2)
    write_alike(tmp_path / "alike.csv", rows | {"d": row_of([0] * 5)})
    assert read_alike(tmp_path / "alike.csv") == {"a": (0, 0), "c": (0, 0)}
    assert "4 videos are too many" in caplog.text


def test_copies_whose_first_pictures_are_black_are_found(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split / "x").mkdir(parents=True)
    frames = moving(1, still=1)
    frames[:12] = 0
    film(tmp_path / "train" / "x" / "a.mp4", frames)
    (tmp_path / "val" / "x" / "copy.mp4").write_bytes((tmp_path / "train" / "x" / "a.mp4").read_bytes())
    (tmp_path / "train" / "x" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert prepare(VideoFolder(root=tmp_path), num_workers=1)["unusable"] == 1
    assert set(read_alike(tmp_path / "prepared" / "alike.csv")) == {"train/x/a.mp4", "val/x/copy.mp4"}


def test_one_split_leaves_what_is_known_of_the_others(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split / "x").mkdir(parents=True)
        film(tmp_path / split / "x" / "a.mp4", moving(1, still=1), crf=18)
    for splits in (["train", "val"], ["val"], ["train"]):
        prepare(VideoFolder(root=tmp_path), splits=splits, num_workers=1)
        assert set(read_alike(tmp_path / "prepared" / "alike.csv")) == {"train/x/a.mp4", "val/x/a.mp4"}


def test_an_index_without_hashes_is_completed(tmp_path: Path) -> None:
    (tmp_path / "train" / "x").mkdir(parents=True)
    film(tmp_path / "train" / "x" / "a.mp4", np.stack([picture(n) for n in range(6)]))
    prepare(VideoFolder(root=tmp_path), num_workers=1, look_alike=False)
    assert not (tmp_path / "prepared" / "alike.csv").exists()
    assert read_index(tmp_path / "prepared")["hashes"].null_count == 1
    prepare(VideoFolder(root=tmp_path), num_workers=1)
    assert read_index(tmp_path / "prepared")["hashes"].null_count == 1, "the new row is beside the old one"
    assert len(read_index(tmp_path / "prepared")) == 2
