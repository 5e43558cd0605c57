"""`eval.py`: from a checkpoint, again from its scores, for EPIC-Kitchens and its challenge; and what it refuses."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from networks import make_network
from omegaconf import OmegaConf
from torch import nn

from vivit.checkpoints.vivit_checkpoint import read_record
from vivit.data import VideoDataModule
from vivit.data.datasets import motion
from vivit.data.time_changes import CHANGES
from vivit.errors import ConfigError, UserError
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.inference.load import LoadedModel
from vivit.launch import Job
from vivit.models import FactorisedEncoder, Tubelets, UniformFrames
from vivit.tasks.clip_settings import data_record
from vivit.tasks.evaluate import build_eval_data, evaluate
from vivit.tasks.weight_formats import write_vivit

MOTION = {"noun": list(motion.NOUNS), "verb": list(motion.VERBS)}
EPIC = {"noun": [f"n{number}" for number in range(300)], "verb": [f"v{number}" for number in range(97)]}
SEGMENT = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame"
)
LABELS = "narration,verb,verb_class,noun,noun_class"
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def checkpoint(composed: Callable[..., Any], small_motion: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a network of random weights that has these classes, and was tested with 2x1 views."""

    def checkpoint(heads: dict[str, list[str]], *words: str) -> Path:
        torch.manual_seed(3)
        net = make_network(
            FactorisedEncoder, Tubelets(dim=8, tubelet=(2, 16, 16)), num_classes=sum(map(len, heads.values())),
            frames=4, height=32, width=32, depth=1, num_heads=2, mlp_dim=12,
            temporal_depth=1, temporal_num_heads=2, temporal_mlp_dim=12,
        )  # fmt: skip
        nn.init.normal_(net.head.projection.weight, std=3)
        clips = (
            f"data.root={small_motion}",
            "data=motion_verb_noun",
            "views.temporal=2",
            "data.frames=4",
        )
        data: Any = OmegaConf.to_container(composed(*clips, *words).data, resolve=True)
        write_vivit(LoadedModel(net, "", heads, **data_record(data)), tmp_path / "net.ckpt")
        return tmp_path / "net.ckpt"

    return checkpoint


@pytest.fixture
def run(composed: Callable[..., Any], tmp_path: Path) -> Run:
    """Evaluate as the command does, in a folder of that name; give what it wrote."""

    def run(name: str, *words: str) -> dict[str, Any]:
        folder = tmp_path / name
        folder.mkdir()
        passes = () if any(word.startswith("scores=") for word in words) else ("trainer=cpu", "num_workers=0")
        cfg = composed(*words, *passes, *(("+trainer.enable_progress_bar=false",) if passes else ()), name="eval")
        cfg.paths.run = str(folder)  # Hydra names it only within a run
        evaluate(cfg, Job(folder=folder, choices={}, overrides=list(words), sweep=None))
        return json.loads((folder / "results.json").read_text())

    return run


SAME = ("views", "average", "scored_split", "videos", "by", "skipped_videos")
SAME += ("metrics", "metrics_by_views", "confidence_95")


@pytest.mark.slow
def test_saved_scores_have_the_same_metrics(checkpoint: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    """Without model and data, which are gone."""
    file = checkpoint(MOTION, "+data.dataset.score_by=[frames,texture]")
    first = run("first", f"ckpt_path={file}", "views=4x1", "views.also_report=[1,2]")
    file.unlink()
    again = run("again", f"scores={tmp_path}/first/scores.parquet")
    assert {key: first[key] for key in SAME} == {key: again[key] for key in SAME}
    assert first["views"] == "4x1"
    assert list(first["metrics_by_views"]) == ["1x1", "2x1", "4x1"]
    assert list(first["by"]) == ["frames", "texture"]
    for parts in first["by"].values():
        for views, metrics in first["metrics_by_views"].items():
            counts = [part["correct_by_views"][views]["action"] for part in parts]
            assert sum(counts) == pytest.approx(metrics["test/action_acc_top1"] * first["videos"])
        assert sum(part["videos"] for part in parts) == first["videos"]
    assert first["metrics_by_views"]["4x1"] == first["metrics"]
    assert set(first["metrics"]) == set(first["confidence_95"]) >= {"test/acc_top1", "test/action_acc_top5"}
    for name, (low, high) in first["confidence_95"].items():
        assert 0 <= low <= first["metrics"][name] <= high <= 1
    tables = [f"{what}_{head}.{kind}" for head in MOTION for what, kind in (("classes", "csv"), ("confusion", "csv"))]
    for table in (*tables, "video_scores.parquet", "confusion_noun.png"):
        assert (tmp_path / "first" / table).read_bytes() == (tmp_path / "again" / table).read_bytes(), table


@pytest.mark.slow
def test_saved_scores_by_other_views_and_average_equal_a_new_evaluation(
    checkpoint: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    file = checkpoint(MOTION)
    run("first", f"ckpt_path={file}", "views=4x1", "views.also_report=[2]")
    other = ("views=1x1", "views.temporal=2", "views.average=probabilities")
    alone = run("alone", f"ckpt_path={file}", *other)
    assert alone["average"] == "probabilities"
    again = run("again", f"scores={tmp_path}/first/scores.parquet", *other)
    assert (again["metrics"], again["views"], again["average"]) == (alone["metrics"], "2x1", "probabilities")


@pytest.mark.slow
def test_views_are_those_of_the_checkpoint_unless_they_are_typed(
    checkpoint: Callable[..., Path], run: Run, small_motion: Path, tmp_path: Path
) -> None:
    """Naming a data set, which brings the views that suit its own training, does not type them."""
    words = (f"ckpt_path={checkpoint(MOTION, 'views.average=probabilities')}", "data=motion_verb_noun")
    words += (f"data.root={small_motion}",)
    told = [(found["views"], found["average"]) for found in (run("plain", *words), run("typed", *words, "views=1x1"))]
    assert told == [("2x1", "probabilities"), ("1x1", "probabilities")]
    again = run("again", f"scores={tmp_path}/plain/scores.parquet", "views=1x1", "views.temporal=2")
    assert (again["views"], again["average"]) == ("2x1", "probabilities")


def test_checkpoint_without_views_is_scored_by_those_of_the_data_set(
    checkpoint: Callable[..., Path], run: Run, small_motion: Path
) -> None:
    file = checkpoint(MOTION)
    content = torch.load(file, weights_only=True)
    del content["vivit"]["preprocessing"]["views"]
    torch.save(content, file)
    words = (f"ckpt_path={file}", "data=motion_verb_noun", f"data.root={small_motion}")
    assert run("brought", *words)["views"] == "4x1"


@pytest.mark.slow
def test_named_data_set_is_scored_completely(checkpoint: Callable[..., Path], run: Run, small_motion: Path) -> None:
    """Whatever share of its own data set the checkpoint was trained on."""
    file = checkpoint({"verb": list(motion.VERBS)}, "data.dataset.label_columns=[verb]", "data.train_share=0.2")
    words = (f"ckpt_path={file}", "split=train", "views=1x1")
    own, named = run("own", *words), run("named", *words, "data=motion", f"data.root={small_motion}")
    assert (own["videos"], named["videos"]) == (12, 48)


@pytest.fixture
def kitchen(small_motion: Path, tmp_path: Path) -> Path:
    """Four segments that are labelled and two that are not, in the files of EPIC-KITCHENS-100."""
    root = tmp_path / "kitchen"
    (root / "annotations").mkdir(parents=True)
    for name, names in EPIC.items():
        lines = [f"{number},{word}\n" for number, word in enumerate(names)]
        (root / "annotations" / f"EPIC_100_{name}_classes.csv").write_text("id,key\n" + "".join(lines))
    times = "00:00:00.00,00:00:00.00,00:00:00.50,1,15"
    rows = [f"P{p:02d}_1_{n},P{p:02d},P{p:02d}_1,{times}" for p, n in ((1, 0), (1, 1), (18, 0), (18, 1))]
    classes = ((0, 0), (1, 9), (2, 1), (3, 2))
    labelled = [f"{row},words,v,{verb},n,{noun}\n" for row, (verb, noun) in zip(rows, classes, strict=True)]
    lists = {
        **dict.fromkeys(
            ("train", "validation"), f"{SEGMENT},narration,verb,verb_class,noun,noun_class\n" + "".join(labelled)
        ),
        "test_timestamps": f"{SEGMENT}\n{rows[2]}\n{rows[0]}\n",
        "tail_nouns": "noun\n9\n",
        "tail_verbs": "verb\n2\n",
        "unseen_participant_ids_validation": "participant_id\nP18\n",
        "unseen_participant_ids_test": "participant_id\nP18\n",
    }
    for name, text in lists.items():
        (root / "annotations" / f"EPIC_100_{name}.csv").write_text(text)
    for person in ("P01", "P18"):
        (root / person / "videos").mkdir(parents=True)
        shutil.copy(small_motion / "test" / "00000.mp4", root / person / "videos" / f"{person}_1.MP4")
    return root


@pytest.mark.slow
def test_epic_kitchens_from_a_checkpoint_to_a_submission(
    checkpoint: Callable[..., Path], run: Run, kitchen: Path, tmp_path: Path
) -> None:
    file = checkpoint(EPIC)
    found = run("scored", f"ckpt_path={file}", "data=epic_kitchens", f"data.root={kitchen}")
    assert set(found["epic_kitchens"]) == {
        *(f"all_{task}_accuracy_at_{top}" for task in ("verb", "noun", "action") for top in (1, 5)),
        *(f"{group}_{task}_accuracy_at_1" for group in ("tail", "unseen") for task in ("verb", "noun", "action")),
    }
    for task in ("verb", "noun", "action"):
        assert found["epic_kitchens"][f"all_{task}_accuracy_at_1"] == 100 * found["metrics"][f"test/{task}_acc_top1"]
    challenge = ("data=epic_kitchens_challenge", f"data.root={kitchen}")
    with pytest.raises(UserError, match="2 of 2 test videos have no label, so no accuracy .* compute_metrics=false"):
        run("refused", f"ckpt_path={file}", *challenge)
    assert run("only_scores", f"ckpt_path={file}", *challenge, "compute_metrics=false")["metrics"] == {}
    sent = run("sent", f"ckpt_path={file}", *challenge, "submission=epic_kitchens", "submission.sls_td=4")
    assert sent["metrics"] == {}
    kept = f"scores={tmp_path}/only_scores/scores.parquet"
    run("sent_again", kept, "submission=epic_kitchens", "submission.sls_td=4")
    contents = []
    for folder in ("sent", "sent_again"):
        with ZipFile(tmp_path / folder / "submission.zip") as archive:
            contents.append(json.loads(archive.read("test.json")))
    assert contents[0] == contents[1]
    assert list(contents[0]["results"]) == ["P18_1_0", "P01_1_0"]
    assert contents[0]["sls_td"] == 4
    with pytest.raises(ValueError, match="2 of its videos have no label"):
        run("no_labels", kept)


@pytest.mark.slow
def test_missing_official_lists_are_an_error_before_the_test(
    checkpoint: Callable[..., Path], run: Run, kitchen: Path
) -> None:
    file, words = checkpoint(EPIC), ("data=epic_kitchens", f"data.root={kitchen}")
    (kitchen / "annotations" / "EPIC_100_tail_nouns.csv").unlink()
    with pytest.raises(ConfigError, match=r"EPIC_100_tail_nouns\.csv: .*data\.dataset\.tail_classes=null") as error:
        run("missing", f"ckpt_path={file}", *words)
    assert error.value.key == "data.dataset.tail_classes.noun"
    found = run(
        "without",
        f"ckpt_path={file}",
        *words,
        "data.dataset.tail_classes=null",
        "data.dataset.unseen_participants=null",
    )
    assert all(name.startswith("all_") for name in found["epic_kitchens"])


@pytest.mark.parametrize(
    ("words", "key", "message"),
    [
        ((), "ckpt_path", "exactly one of ckpt_path and scores is needed"),
        (("ckpt_path={ckpt}", "scores={ckpt}"), "ckpt_path", "exactly one of ckpt_path and scores is needed"),
        (("scores={ckpt}", "batch_size=3"), "batch_size", "defines how videos are scored"),
        (("scores={ckpt}", "data=motion", "data.train_share=0.5"), "data.train_share", "defines how videos are scored"),
        (("ckpt_path={ckpt}", "batch_size=0"), "batch_size", "set a number, 1 or more"),
        (("ckpt_path={ckpt}", "batch_size=many"), "batch_size", "set a number, 1 or more"),
        (("ckpt_path={ckpt}", "timeout=-1"), "timeout", "set a number, 0 or more"),
        (("ckpt_path={ckpt}", "split=tset"), "split", "^split=tset: is not a split; set one of train, val, test$"),
        (("ckpt_path={ckpt}", "views=4x1", "views.average=median"), "views.average", "median"),
        (("ckpt_path={ckpt}", "views=4x1", "views.temporal=0"), "views.temporal", "set 1 or more"),
        (("ckpt_path={ckpt}", "data=motion", "data.root={motion}"), "data", r"the checkpoint \['noun', 'verb'\]"),
    ],
)
def test_wrong_options_are_errors_about_their_keys(
    words: tuple[str, ...], key: str, message: str, checkpoint: Callable[..., Path], run: Run, small_motion: Path
) -> None:
    file = checkpoint(MOTION)
    with pytest.raises(ConfigError, match=message) as error:
        run("refused", *(word.format(ckpt=file, motion=small_motion) for word in words))
    assert error.value.key == key


def test_scores_that_are_no_predictions_are_refused(checkpoint: Callable[..., Path], run: Run) -> None:
    with pytest.raises(UserError, match=r"net\.ckpt: is not a file of predictions"):
        run("refused", f"scores={checkpoint(MOTION)}")


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("data.skip_unreadable=true", "set skip_unreadable instead of data.skip_unreadable"),
        ("data.num_workers=2", "set num_workers instead of data.num_workers"),
        ("data.timeout=0", "set timeout instead of data.timeout"),
        ("data.batch_size=2", "set batch_size instead of data.batch_size"),
        (
            "data.resize=320",
            "of a data set only root, dataset, train_share, val_share are used; clips are cut as the checkpoint's were",
        ),
        ("+data.rooot=/videos", "of a data set only root, dataset, train_share, val_share are used"),
    ],
)
def test_unused_overrides_of_a_data_set_are_refused(
    override: str, remedy: str, checkpoint: Callable[..., Path], run: Run, small_motion: Path
) -> None:
    words = (f"ckpt_path={checkpoint(MOTION)}", "data=motion_verb_noun", f"data.root={small_motion}")
    with pytest.raises(ConfigError) as error:
        run("refused", *words, override)
    assert str(error.value) == f"{override.lstrip('+')}: has no effect here; {remedy}"


@pytest.mark.parametrize("place", ["data", "dataset", "preprocessing"])
def test_what_a_checkpoint_names_is_never_built(
    place: str, checkpoint: Callable[..., Path], composed: Callable[..., Any], tmp_path: Path
) -> None:
    """Hydra would call a ``_target_``."""
    file, made = checkpoint(MOTION), tmp_path / "made"
    content = torch.load(file, weights_only=True)
    record, hostile = content["vivit"], {"_target_": "os.mkdir", "_args_": [str(made)]}
    if place == "dataset":
        record["data"]["dataset"] |= {"extra": hostile}
    else:
        record[place] |= hostile
    torch.save(content, file)
    with pytest.raises((ConfigError, UserError)) if place != "preprocessing" else contextlib.nullcontext():
        cfg = composed(f"ckpt_path={file}", "num_workers=0", name="eval")
        build_eval_data(read_record(file), cfg, Job(tmp_path, {}, [], None))
    assert not made.exists()


def test_text_of_a_checkpoint_is_taken_as_it_is(
    checkpoint: Callable[..., Path], composed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration would put a variable of the environment in its place."""
    monkeypatch.setattr(VideoDataModule, "prepare_data", lambda self: None)
    record = read_record(checkpoint(MOTION))
    record["data"]["root"] = "/${oc.env:HOME}"
    data = build_eval_data(record, composed("ckpt_path=x", name="eval"), Job(tmp_path, {}, [], None))
    assert str(data.dataset.root) == "/${oc.env:HOME}"


def test_timeout_is_that_of_the_command(
    checkpoint: Callable[..., Path], composed: Callable[..., Any], tmp_path: Path
) -> None:
    record = read_record(checkpoint(MOTION))
    for words, seconds in (((), 600), (("timeout=7.5",), 7.5)):
        cfg = composed("ckpt_path=x", *words, name="eval")
        assert build_eval_data(record, cfg, Job(tmp_path, {}, list(words), None)).timeout == seconds


@pytest.mark.slow
def test_data_set_of_other_classes_is_refused(
    checkpoint: Callable[..., Path], run: Run, small_motion: Path, kitchen: Path, tmp_path: Path
) -> None:
    run("first", f"ckpt_path={checkpoint(MOTION)}")
    scores = f"scores={tmp_path}/first/scores.parquet"
    run("same", scores, "data=motion_verb_noun", f"data.root={small_motion}")
    with pytest.raises(ConfigError, match=r"has 300 classes of 'noun', .*scores\.parquet 12") as error:
        run("other", scores, "data=epic_kitchens", f"data.root={kitchen}")
    renamed = {"noun": [*MOTION["noun"][:-1], "cube"], "verb": MOTION["verb"]}
    assert error.value.key == "data"
    with pytest.raises(ConfigError, match="as class 11 of 'noun', the checkpoint has 'cube'"):
        run("renamed", f"ckpt_path={checkpoint(renamed)}")


@pytest.mark.slow
def test_changes_of_time_cost_an_order_blind_network_nothing_but_what_it_sees(
    checkpoint: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    """Frames pooled whatever their order: as right reversed and shuffled, video by video, and not on one frame."""
    torch.manual_seed(3)
    tokeniser = UniformFrames(dim=8, num_frames=4, patch=(16, 16))
    net = make_network(
        FactorisedEncoder, tokeniser, num_classes=24, frames=4, height=32, width=32, depth=1, num_heads=2,
        mlp_dim=12, temporal_depth=0,
    )  # fmt: skip
    nn.init.normal_(net.head.projection.weight, std=3)
    record = read_record(checkpoint(MOTION))
    file = tmp_path / "blind.ckpt"
    write_vivit(LoadedModel(net, "", MOTION, **{key: record[key] for key in ("preprocessing", "data")}), file)
    results = run("time", f"ckpt_path={file}", "time=true")
    assert list(results["time"]) == ["noun", "verb"]
    for head, of_head in results["time"].items():
        rows = {row["change"]: row for row in of_head["changes"]}
        assert list(rows) == ["forward", *CHANGES]
        assert rows["forward"]["accuracy"] == pytest.approx(results["metrics"][f"test/{head}_acc_top1"])
        for change in ("reversed", "shuffled"):
            assert rows[change]["difference"] == rows[change]["difference_low"] == rows[change]["difference_high"] == 0
        assert (tmp_path / "time" / f"time_{head}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "time" / f"time_classes_{head}.csv").read_text().startswith("class,videos,needs,forward")
    reversed_, still = (
        torch.cat([part.views for part in PredictionsFile(tmp_path / f"time/time/{change}/scores.parquet").parts()])
        for change in ("reversed", "one_frame")
    )
    assert not torch.allclose(reversed_, still, atol=1e-2)


def test_changes_of_time_of_saved_scores_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="contains them scored") as error:
        run("again", f"scores={tmp_path}/scores.parquet", "time=true")
    assert error.value.key == "time"
