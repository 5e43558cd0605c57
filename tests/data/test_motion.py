"""The embedded data set is what it says, and no still picture gives the movement away."""

import csv
from collections import Counter
from dataclasses import replace
from itertools import combinations

import av
import numpy as np
import pytest
from scipy.stats import binom, ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vivit.data.datasets import motion
from vivit.data.datasets.motion import MIRROR, NOUNS, SIDE, SPLITS, VERBS, Split, encode, render, scene, trajectory
from vivit.errors import ConfigError

pytestmark = pytest.mark.slow


PROBE = Split("probe", 960, range(400))
PAIRS = list(zip(VERBS[::2], VERBS[1::2], strict=True))


def rows(root, split):
    with (root / f"{split}.csv").open(newline="") as text:
        return list(csv.DictReader(text))


@pytest.mark.slow
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
    assert Counter(row["verb"] for row in listed) == dict.fromkeys(VERBS, 6)
    assert Counter((row["verb"], row["noun"]) for row in listed) == {(v, n): 1 for v in VERBS for n in NOUNS}
    assert all(split.videos % (len(VERBS) * len(NOUNS)) == 0 for split in SPLITS)


def test_motion_splits_share_no_background_and_no_texture(small_motion):
    for one, other in combinations(SPLITS, 2):
        assert not set(one.pool) & set(other.pool)
        for column in ("background", "texture"):
            used = [{row[column] for row in rows(small_motion, split.name)} for split in (one, other)]
            assert not used[0] & used[1]


@pytest.mark.slow
def test_motion_backgrounds_and_textures_are_distinct():
    numbers = range(max(split.pool.stop for split in SPLITS))
    backgrounds = np.stack([motion.drawing.background(number).reshape(-1)[::37] for number in numbers])
    textures = np.stack([np.concatenate(motion.drawing.texture_colors(number)) for number in numbers])
    for drawn in (backgrounds, textures):
        distance = np.abs(drawn[:, None] - drawn[None]).max(-1)
        assert distance[~np.eye(len(numbers), dtype=bool)].min() > 0.5


def test_motion_scenes_are_deterministic_and_differ():
    assert scene(PROBE, 5) == scene(PROBE, 5)
    assert len({scene(PROBE, index).seed for index in range(100)}) == 100
    assert scene(PROBE, 5) != scene(PROBE, 5, seed=1)
    np.testing.assert_array_equal(render(scene(PROBE, 5)), render(scene(PROBE, 5)))


@pytest.mark.parametrize(
    ("verb", "moves"),
    [("left", (0, -1)), ("right", (0, 1)), ("up", (-1, 0)), ("down", (1, 0)), ("grow", (0, 0)), ("shrink", (0, 0))],
)
def test_motion_verbs_move_by_their_names(verb, moves):
    for index in range(8):
        row, column, radius = trajectory(replace(scene(PROBE, index), verb=verb))
        assert (np.sign(np.diff(row)) == moves[0]).all()
        assert (np.sign(np.diff(column)) == moves[1]).all()
        steps = np.diff(radius)
        growing = (steps > 0).mean()
        assert growing == 0 if verb not in ("grow", "shrink") else (growing > 0.9) == (verb == "grow")


@pytest.mark.parametrize(("verb", "sign"), [("clockwise", 1), ("anticlockwise", -1)])
def test_motion_clockwise_is_as_seen_on_screen(verb, sign):
    """Rows grow downwards, so from the right to the bottom is clockwise."""
    row, column, _ = trajectory(replace(scene(PROBE, 0), verb=verb, shift=(0.0, 0.0)))
    y, x = row - SIDE / 2, column - SIDE / 2
    assert (np.sign(x[:-1] * y[1:] - y[:-1] * x[1:]) == sign).all()


def mirrored(s):
    """Give the scene that draws the mirror image: another verb, another start, the same path left to right."""
    if s.verb in ("left", "right"):
        return replace(s, verb=MIRROR[s.verb], phase=-s.phase)
    sideways = replace(s, verb=MIRROR.get(s.verb, s.verb), shift=(s.shift[0], -s.shift[1]))
    return replace(sideways, phase=0.5 - s.phase) if s.verb in MIRROR else sideways


@pytest.mark.parametrize("verb", VERBS)
def test_motion_flipped_path_is_a_path_of_the_flipped_verb(verb):
    for index in range(8):
        s = replace(scene(PROBE, index), verb=verb)
        row, column, radius = trajectory(s)
        row_, column_, radius_ = trajectory(mirrored(s))
        np.testing.assert_allclose(row_, row)
        np.testing.assert_allclose(np.cos(2 * np.pi * (column_ + column) / SIDE), 1, atol=1e-9)
        np.testing.assert_allclose(radius_, radius)


@pytest.mark.parametrize("noun", NOUNS)
def test_motion_nouns_are_symmetric(noun):
    y, x = np.mgrid[-1.2:1.2:49j, -1.2:1.2:49j]
    shape = motion.signed_distance(noun, y, x)
    np.testing.assert_allclose(shape, shape[:, ::-1], atol=1e-12)
    assert 0.2 < (shape < 0).mean() * 2.4**2 < 3.2


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
        ({"format.txt": "0\n"}, "holds motion of format 0, not motion of format 2"),
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


def still(s, moment):
    """Give the scene whose only frame is frame ``moment`` of ``s``, with other noise."""
    forwards = VERBS.index(s.verb) % 2 == 0
    phase = s.phase + s.speed * moment * (1 if forwards else -1)
    return replace(s, frames=1, phase=phase, swing=(*s.swing[:5], s.swing[5] + s.swing[4] * moment))


@pytest.mark.parametrize("index", range(8))
def test_motion_still_is_a_frame_of_its_scene(index):
    s = replace(scene(PROBE, index), noise=0.0)
    video = render(s).astype(int)
    for moment in (0, 11, s.frames - 1):
        assert np.abs(render(still(s, moment))[0] - video[moment]).max() <= 1


@pytest.fixture(scope="module")
def stills():
    """Draw 120 scenes of every verb; keep the first, middle and last frame at 8x8 pixels, and the verb's number."""
    pictures, verbs = [], []
    for index in range(PROBE.videos):
        s = scene(PROBE, index)
        frames = np.concatenate([render(still(s, moment)) for moment in (0, s.frames // 2, s.frames - 1)])
        pictures.append(frames.astype(np.float32).reshape(3, 8, 8, 8, 8, 3).mean((2, 4)).reshape(3, -1))
        verbs.append(VERBS.index(s.verb))
    return np.stack(pictures), np.array(verbs)


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """Encode 20 scenes of every verb; keep size in bytes, length, and the first and last place and radius."""
    path = tmp_path_factory.mktemp("facts") / "clip.mp4"
    numbers, verbs = [], []
    for index in range(PROBE.videos // 6):
        s = scene(PROBE, index)
        encode(render(s), path)
        row, column, radius = trajectory(s)
        places = np.stack([row % SIDE, column % SIDE, radius])
        numbers.append([path.stat().st_size, s.frames, *places[:, 0], *places[:, -1]])
        verbs.append(VERBS.index(s.verb))
    return np.array(numbers), np.array(verbs)


def accuracy(features, classes):
    """Give the share that a logistic regression names right, each fifth by what it learns of the others."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    named = cross_val_predict(model, features, classes, cv=KFold(5, shuffle=True, random_state=0))
    return (named == classes).mean()


def chance(count, share=0.5):
    """Give the accuracy that guessing exceeds once in 10,000 times."""
    return binom.ppf(1 - 1e-4, count, share) / count


@pytest.mark.slow
@pytest.mark.parametrize("pair", range(len(PAIRS)), ids=lambda pair: "-".join(PAIRS[pair]))
@pytest.mark.parametrize("moment", range(3), ids=["first", "middle", "last"])
def test_motion_single_frame_does_not_reveal_the_direction(stills, pair, moment):
    pictures, verbs = stills
    mine = verbs // 2 == pair
    assert accuracy(pictures[mine, moment], verbs[mine] % 2) < chance(mine.sum())


@pytest.mark.slow
@pytest.mark.parametrize("pair", range(len(PAIRS)), ids=lambda pair: "-".join(PAIRS[pair]))
def test_motion_size_length_and_position_do_not_reveal_the_direction(facts, pair):
    numbers, verbs = facts
    mine = verbs // 2 == pair
    assert accuracy(numbers[mine], verbs[mine] % 2) < chance(mine.sum())


@pytest.mark.parametrize("moment", range(3), ids=["first", "middle", "last"])
def test_motion_single_frame_reveals_the_pair_only(stills, moment):
    pictures, verbs = stills
    assert accuracy(pictures[:, moment], verbs) < chance(len(verbs))


def test_motion_probe_detects_a_leak(stills):
    """Where a movement always starts at the same place, the same regression does tell it from its opposite."""
    pictures, verbs = stills
    mine = verbs // 2 == 0
    leaky = pictures[mine, 1].copy()
    leaky[verbs[mine] == 0, :24] += 25
    assert accuracy(leaky, verbs[mine] % 2) > 0.8
