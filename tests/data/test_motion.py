"""The embedded data set is what it says, and nothing but the order of time tells a verb from its opposite."""

import csv
from collections import Counter
from dataclasses import astuple, replace
from itertools import combinations

import av
import numpy as np
import pytest
from scipy.stats import binom, ks_2samp, kstest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vivit.data.datasets import motion
from vivit.data.datasets.motion import (
    DIFFICULTIES,
    MIRROR,
    NOUNS,
    PAIRS,
    REVERSE,
    SIDE,
    SPLITS,
    VERBS,
    Scene,
    Split,
    encode,
    render,
    scene,
    trajectory,
)
from vivit.data.datasets.motion.shapes import REACH
from vivit.data.storage.remote_path import RemotePath
from vivit.errors import ConfigError

pytestmark = pytest.mark.slow

PROBE = Split("probe", 720, range(400))
TRIPS = VERBS[6:]
"""Verbs that only differ in what comes first."""


def rows(root, split):
    with (root / f"{split}.csv").open(newline="") as text:
        return list(csv.DictReader(text))


def test_motion_files_match_their_csv(small_motion):
    for split, videos in (("train", 48), ("val", 16), ("test", 16)):
        listed = rows(small_motion, split)
        assert tuple(listed[0]) == motion.COLUMNS
        assert [row["path"] for row in listed] == [f"{split}/{index:05d}.mp4" for index in range(videos)]
        for row in listed[::5]:
            with av.open(str(small_motion / row["path"])) as container:
                stream = container.streams.video[0]
                assert (stream.codec_context.name, stream.height, stream.width) == ("h264", SIDE, SIDE)
                assert stream.average_rate == 25
                assert sum(1 for _ in container.decode(stream)) == int(row["frames"])
    assert {path.name for path in small_motion.iterdir()} == {
        *("train", "val", "test"), "train.csv", "val.csv", "test.csv", "format.txt"
    }  # fmt: skip


def test_motion_file_shows_its_scene(small_motion):
    split = Split("train", 48, range(400))
    drawn = render(scene(split, 3)).astype(float)
    with av.open(str(small_motion / "train/00003.mp4")) as container:
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert decoded.shape == drawn.shape
    assert np.abs(decoded - drawn).mean() < 8


def test_motion_verbs_and_nouns_are_balanced(small_motion):
    listed = rows(small_motion, "train")
    assert Counter(row["verb"] for row in listed) == dict.fromkeys(VERBS, 4)
    pairs = Counter((s.verb, s.noun) for s in (scene(PROBE, index) for index in range(144)))
    assert pairs == {(v, n): 1 for v in VERBS for n in NOUNS}
    assert all(split.videos % (len(VERBS) * len(NOUNS)) == 0 for split in SPLITS)


def test_motion_one_seed_is_known_to_within_two_and_a_half_points():
    """Half the width of a 95 % interval of an accuracy of one half, in which it is widest."""
    assert 1.96 * np.sqrt(0.25 / SPLITS[-1].videos) < 0.025


def test_motion_difficulties_are_listed(small_motion):
    for index, row in enumerate(rows(small_motion, "test")[:12]):
        drawn = scene(Split("test", 16, range(460, 520)), index).difficulty
        assert [float(row[name]) for name in DIFFICULTIES] == pytest.approx(astuple(drawn), abs=1e-4)


@pytest.mark.parametrize("name", DIFFICULTIES)
def test_motion_difficulties_do_not_depend_on_the_verb(name):
    drawn = [(VERBS.index(s.verb), getattr(s.difficulty, name)) for s in (scene(PROBE, i) for i in range(2400))]
    for verb in range(len(VERBS)):
        mine, others = ([value for v, value in drawn if (v == verb) is same] for same in (True, False))
        assert ks_2samp(mine, others).pvalue > 1e-4


def test_motion_splits_share_no_background_and_no_texture(small_motion):
    for one, other in combinations(SPLITS, 2):
        assert not set(one.pool) & set(other.pool)
        for column in ("background", "texture"):
            used = [{row[column] for row in rows(small_motion, split.name)} for split in (one, other)]
            assert not used[0] & used[1]


def test_motion_backgrounds_and_textures_are_distinct():
    numbers = range(max(split.pool.stop for split in SPLITS))
    backgrounds = np.stack(
        [motion.drawing.background(number, np.zeros(1), np.zeros(1)).reshape(-1)[::37] for number in numbers]
    )
    textures = np.stack([np.concatenate(motion.drawing.texture_colors(number, 100.0)) for number in numbers])
    for drawn in (backgrounds, textures):
        distance = np.abs(drawn[:, None] - drawn[None]).max(-1)
        assert distance[~np.eye(len(numbers), dtype=bool)].min() > 0.3


def test_motion_scenes_are_deterministic_and_differ():
    assert scene(PROBE, 5) == scene(PROBE, 5)
    assert len({scene(PROBE, index).seed for index in range(100)}) == 100
    assert scene(PROBE, 5) != scene(PROBE, 5, seed=1)
    np.testing.assert_array_equal(render(scene(PROBE, 5)), render(scene(PROBE, 5)))


def moving(index, verb, **changes):
    """Return a scene of a verb that moves all the time."""
    s = scene(PROBE, index)
    return replace(s, verb=verb, begin=0.0, difficulty=replace(s.difficulty, moving=1.0), **changes)


@pytest.mark.parametrize(
    ("verb", "moves"),
    [("left", (0, -1)), ("right", (0, 1)), ("up", (-1, 0)), ("down", (1, 0)), ("grow", (0, 0)), ("shrink", (0, 0))],
)
def test_motion_verbs_move_by_their_names(verb, moves):
    for index in range(8):
        row, column, radius = trajectory(moving(index, verb))
        assert (np.sign(np.diff(row)) == moves[0]).all()
        assert (np.sign(np.diff(column)) == moves[1]).all()
        growing = (np.diff(radius) > 0).mean()
        assert growing == 0 if verb not in ("grow", "shrink") else (growing > 0.8) == (verb == "grow")


@pytest.mark.parametrize("verb", TRIPS)
def test_motion_trips_come_one_after_the_other(verb):
    """The first half of the time only one of row, column and size changes, then only the other; both end at home."""
    order = [{"sway": 1, "bob": 0, "swell": 2}[part] for part in verb.split("_then_")]
    for index in range(8):
        s = replace(moving(index, verb), frames=41)
        changes = [np.abs(np.diff(path)) > 1e-9 for path in trajectory(s)]
        for part, half in zip(order, (slice(0, 20), slice(20, 40)), strict=True):
            assert [bool(change[half].any()) for change in changes] == [axis == part for axis in range(3)]
        assert all(path[-1] == pytest.approx(path[0]) for path in trajectory(s))


@pytest.mark.parametrize("verb", ["left", "right", "up", "down"])
def test_motion_speed_is_that_of_the_path(verb):
    for index in range(8):
        s = moving(index, verb)
        row, column, _ = trajectory(s)
        np.testing.assert_allclose(np.hypot(np.diff(row), np.diff(column)), s.difficulty.speed)


def test_motion_rests_before_and_after_it_moves():
    for index in range(12):
        s = replace(scene(PROBE, index), verb="right")
        moves = np.abs(np.diff(trajectory(s)[1])) > 1e-9
        assert 0 <= moves.sum() - s.difficulty.moving * (s.frames - 1) < 2
        assert np.diff(np.flatnonzero(moves)).max() == 1


def mirrored(s: Scene) -> Scene:
    """Return the scene that draws the mirror image: perhaps another verb, the same path left to right."""
    parts = s.verb.split("_then_")
    signs = tuple(-sign if part == "sway" else sign for part, sign in zip(parts, s.signs, strict=len(parts) == 2))
    changes = {"signs": signs} if len(parts) == 2 else {}
    return replace(s, verb=MIRROR.get(s.verb, s.verb), home=(s.home[0], -s.home[1]), **changes)


def backwards(s: Scene) -> Scene:
    """Return the scene whose path is that of ``s`` from its end to its start."""
    lasts = s.difficulty.moving * (s.frames - 1)
    row, column, _ = (path[-1] for path in trajectory(s))
    phase = s.phase + s.difficulty.speed * lasts * (-1 if s.verb == "shrink" else 1) / SIDE
    begin = s.frames - 1 - lasts - s.begin
    return replace(s, verb=REVERSE[s.verb], begin=begin, phase=phase, home=(row, column), signs=s.signs[::-1])


def assert_same_path(one: Scene, other: Scene, order: int = 1, side: int = 1) -> None:
    (row, column, radius), (row_, column_, radius_) = trajectory(one), trajectory(other)
    for actual, expected in ((row, row_[::order]), (side * column, column_[::order])):
        np.testing.assert_allclose(np.exp(2j * np.pi * actual / SIDE), np.exp(2j * np.pi * expected / SIDE), atol=1e-9)
    np.testing.assert_allclose(np.abs(np.log(radius_[::order] / radius)) % np.log(3), 0, atol=1e-9)


@pytest.mark.parametrize("verb", VERBS)
def test_motion_flipped_path_is_a_path_of_the_flipped_verb(verb):
    for index in range(8):
        s = replace(scene(PROBE, index), verb=verb)
        assert_same_path(s, mirrored(s), side=-1)


@pytest.mark.parametrize("verb", VERBS)
def test_motion_path_run_backwards_is_a_path_of_the_opposite_verb(verb):
    """So any set of frames is as likely under both, as long as starts and pauses are, which the next test holds."""
    for index in range(8):
        s = replace(scene(PROBE, index), verb=verb)
        assert_same_path(s, backwards(s), order=-1)


@pytest.mark.parametrize("verb", VERBS)
def test_motion_scenes_run_backwards_are_distributed_as_others_are(verb):
    scenes = [backwards(replace(scene(PROBE, index), verb=verb)) for index in range(800)]
    pauses = [s.begin / ((1 - s.difficulty.moving) * (s.frames - 1)) for s in scenes]
    for uniform in (pauses, [s.phase % 1 for s in scenes], [s.home[1] / SIDE % 1 for s in scenes]):
        assert kstest(uniform, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("noun", NOUNS)
def test_motion_nouns_are_symmetric(noun):
    y, x = np.mgrid[-1.2:1.2:49j, -1.2:1.2:49j]
    shape = motion.signed_distance(noun, y, x)
    np.testing.assert_allclose(shape, shape[:, ::-1], atol=1e-12)
    assert 0.9 < (shape < 0).mean() * 2.4**2 < 3.2
    assert not (shape[np.hypot(y, x) > REACH] < 0).any()


@pytest.mark.parametrize("verb", VERBS)
def test_motion_positions_are_distributed_as_those_of_the_flipped_verb(verb):
    """At every moment, over many scenes: the path of a verb, mirrored, is spread as that of the mirrored verb."""
    scenes = [scene(PROBE, index) for index in range(600)]
    for moment in (0, 17, 35):
        actual = [SIDE - trajectory(replace(s, verb=verb))[1][moment] for s in scenes[::2]]
        reference = [trajectory(replace(s, verb=MIRROR.get(verb, verb)))[1][moment] for s in scenes[1::2]]
        assert ks_2samp(np.mod(actual, SIDE), np.mod(reference, SIDE)).pvalue > 1e-3


@pytest.fixture
def small_ensure(monkeypatch):
    """Let ``ensure`` draw two videos a split, and count how often it does."""
    calls, generate = [], motion.generate

    def few(folder):
        calls.append(folder)
        generate(folder, [replace(split, videos=2) for split in SPLITS])

    monkeypatch.setattr(motion.generation, "generate", few)
    return calls


def test_motion_is_generated_once(tmp_path, small_ensure):
    root = tmp_path / "below" / "motion"
    for _ in range(2):
        motion.generate_if_missing(root)
    assert len(small_ensure) == 1
    assert len(rows(root, "test")) == 2
    assert [path.name for path in root.parent.iterdir() if path.is_dir()] == ["motion"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_motion_generation_interrupted_leaves_no_root(tmp_path, small_ensure, monkeypatch, interruption):
    root = tmp_path / "motion"
    with monkeypatch.context() as patch:
        patch.setattr(motion.generation.csv, "writer", lambda *_: (_ for _ in ()).throw(interruption))
        with pytest.raises(interruption):
            motion.generate_if_missing(root)
    assert not root.exists()
    motion.generate_if_missing(root)
    assert len(rows(root, "train")) == 2
    assert len(small_ensure) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"holiday.mp4": "mine"}, "no data set that was generated here"),
        ({"format.txt": "0\n"}, "holds motion of format 0, not motion of format 3"),
    ],
)
def test_motion_in_a_foreign_folder_is_refused_and_changes_nothing(tmp_path, small_ensure, content, message):
    root = tmp_path / "motion"
    root.mkdir()
    for name, text in content.items():
        (root / name).write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        motion.generate_if_missing(root)
    assert (error.value.key, error.value.value) == ("data.root", root)
    assert {path.name: path.read_text() for path in root.iterdir()} == content
    assert not small_ensure


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """Return 60 encoded and decoded scenes of every verb: what single frames, all frames as a set, and files show."""
    path = tmp_path_factory.mktemp("decoded") / "clip.mp4"
    stills, sets, files, verbs = [], [], [], []
    for index in range(PROBE.videos):
        s = scene(PROBE, index)
        encode(render(s), path)
        with av.open(str(path)) as container:
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        small = frames.astype(np.float32).reshape(-1, 8, 8, 8, 8, 3).mean((2, 4)).reshape(len(frames), -1)
        stills.append(small[[0, len(small) // 2, -1]])
        sets.append(np.concatenate([small.mean(0), small.std(0), small.min(0), small.max(0)]))
        places = np.stack([np.mod(at, SIDE) for at in trajectory(s)])
        files.append([path.stat().st_size, s.frames, *astuple(s.difficulty), *places[:, 0], *places[:, -1]])
        verbs.append(VERBS.index(s.verb))
    stills = np.stack(stills)
    return {
        "first frame": stills[:, 0],
        "middle frame": stills[:, 1],
        "last frame": stills[:, 2],
        "set of frames": np.stack(sets),
        "file": np.array(files),
    }, np.array(verbs)


def accuracy(features, classes):
    """Return the share that a logistic regression names right, each fifth by what it learns of the others."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    named = cross_val_predict(model, features, classes, cv=KFold(5, shuffle=True, random_state=0))
    return (named == classes).mean()


def chance(count, share=0.5):
    """Return the accuracy that guessing exceeds once in 10,000 times."""
    return binom.ppf(1 - 1e-4, count, share) / count


@pytest.mark.parametrize("pair", range(len(PAIRS)), ids=lambda pair: "-".join(PAIRS[pair]))
@pytest.mark.parametrize("shown", ["first frame", "middle frame", "last frame", "set of frames", "file"])
def test_motion_without_order_does_not_reveal_which_of_two_opposites(decoded, pair, shown):
    features, verbs = decoded
    mine = verbs // 2 == pair
    assert accuracy(features[shown][mine], verbs[mine] % 2) < chance(mine.sum())


def test_motion_probe_detects_a_leak(decoded):
    """Where a movement always starts at the same place, the same regression does tell it from its opposite."""
    features, verbs = decoded
    mine = verbs // 2 == 0
    leaky = features["middle frame"][mine].copy()
    leaky[verbs[mine] == 0, :24] += 25
    assert accuracy(leaky, verbs[mine] % 2) > 0.8


def test_motion_is_drawn_on_a_local_disk():
    root = RemotePath("s3://bucket/motion")
    with pytest.raises(ConfigError, match=r"data\.root=s3://bucket/motion: .* into a folder of a local disk; set one"):
        motion.Motion(root=root).prepare()
