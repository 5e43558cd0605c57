"""Arguments that cannot be are answered with one sentence, which says what is meant; nothing is begun."""

import importlib
import inspect
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra._internal import utils
from lightning import Trainer
from omegaconf import DictConfig

from vivit.launch.command_line import begin, options_first, square_crop
from vivit.launch.composition_errors import nearest_keys
from vivit.launch.config_keys import group_options, groups_of, root_keys
from vivit.launch.foreign_keys import _BY_COMMAND, _SHARED, HINTS, OPTIONS, TRAINER_ARGUMENTS, foreign_key

Compose = Callable[..., DictConfig]
CHECKPOINT = "ckpt_path=a.ckpt"
ANSWERS = {
    # names of other projects
    "train lr=0.01": "lr=0.01: there is no key lr; did you mean optim.optimizer.lr=0.01?",
    "train learning_rate=0.01": "did you mean optim.optimizer.lr=0.01?",
    "train epochs=3": "did you mean trainer.max_epochs=3?",
    "train batch_size=8": "did you mean data.batch_size=8?",
    "train num_classes=2": "the number of classes is that of the data set",
    "train workers=4": "did you mean data.num_workers=4?",
    "train gpus=2": "did you mean trainer.devices=2? (trainer=gpu is one GPU, trainer=ddp trainer.devices=4 are four)",
    "train devices=2": "did you mean trainer.devices=2?",
    "train wd=0.1": "did you mean optim.optimizer.weight_decay=0.1?",
    "train weight_decay=0.1": "did you mean optim.optimizer.weight_decay=0.1?",
    "train imgsz=224": "did you mean data.crop=224?",
    "train frames=8": "did you mean data.frames=8?",
    "train pretrained=true": "weights=image weights.source=FILE, or experiment=finetune",
    "train output_dir=x": "did you mean hydra.run.dir=x?",
    "train early_stopping=5": "callbacks=[default,early_stopping]",
    "eval cluster=slurm_1x8 ckpt_path=a": "cluster= starts the ranks of train.py, and eval.py is one process; leave it",
    "predict cluster=torchrun ckpt_path=a video=b": "cluster= starts the ranks of train.py",
    "eval batch=8": "did you mean batch_size=8?",
    "predict input=a.mp4 ckpt_path=a": "did you mean video=a.mp4?",
    "predict gpu=0 ckpt_path=a video=b": "did you mean device=0?",
    "export output=a.onnx ckpt_path=a": "did you mean target=a.onnx?",
    # misspelt
    "train data.rot=x": "data.rot=x: there is no key data.rot; did you mean data.root=x?",
    "train trainer.max_epoch=3": "did you mean trainer.max_epochs=3?",
    "train optim.lr=3": "did you mean optim.optimizer.lr=3?",
    "train modle=spatiotemporal": "did you mean model=spatiotemporal?",
    "train ~trainer.max_epoch": "did you mean trainer.max_epochs?",
    "train trainer.xyz=1": "below trainer there are accelerator, accumulate_grad_batches, ",
    "train xyzzy=1": "in train.py; its keys are augment, callbacks, ckpt_path, ",
    "train trainer.min_steps=5": "but Lightning's Trainer has it: type +trainer.min_steps=5",
    "train max_steps=5": "did you mean trainer.max_steps=5?",
    "train fast_dev_run=true": "did you mean debug=true? (debug=limit: three batches of everything)",
    "train trainer.strategy=ddp": "did you mean trainer=ddp? (trainer=gpu, ddp or fsdp)",
    "train trainer.num_nodes=2": "no key trainer.num_nodes with these options (trainer=ddp trainer.num_nodes=2)",
    "train +seed=2": "+seed=2: is a key already; leave the + out",
    "predict vidoe=a.mp4 ckpt_path=a": "did you mean video=a.mp4?",
    # options of groups
    "train model=model1": "there is no such option; did you mean model=spatiotemporal? model= is one of attentive",
    "train model=model2": "did you mean model=factorised_encoder?",
    "train model=factorised": "did you mean model=factorised_dot_product?",
    "train model=tiny": "did you mean size=tiny?",
    "train data=foldr": "did you mean data=folder? data= is one of csv, csv_folds, ",
    "train optim=adam": "did you mean optim=adamw?",
    "train trainer=zzqqyy": "trainer=zzqqyy: there is no such option; trainer= is one of cpu, ",
    "train trainer=cuda": "did you mean trainer=gpu?",
    "train logger=tb": "did you mean logger=tensorboard?",
    "train callbacks=[default,eam]": "callbacks=eam: there is no such option; did you mean callbacks=ema?",
    "train experiment=finetun": "did you mean experiment=finetune?",
    "train sweep=sedes": "did you mean sweep=seeds?",
    # what is near to those
    "train augment=true": "augment=true: there is no such option; did you mean augment=crop_flip?",
    "train views=4": "did you mean views=4x1?",
    "train data=/videos/mine": "data=/videos/mine: is a path, and no option; did you mean data=folder",
    "train weights=/models/vit.npz": "did you mean weights=image weights.source=/models/vit.npz?",
    "train weights=/run/last.ckpt": "did you mean weights=video weights.source=/run/last.ckpt?",
    "train model=/models/vit": "model=/models/vit: is a path, and no option; model= is one of attentive_pool",
    "train data.path=/x": "did you mean data.root=/x?",
    "train data=video": "did you mean data=folder?",
    "train weights=vivit": "did you mean weights=video?",
    "train size=vit_b": "did you mean size=base?",
    "train model=vivit-base": "did you mean model=factorised_encoder?",
    "train model.num_classes=2": "the number of classes is that of the data set",
    "train device=cuda": "did you mean trainer=gpu?",
    "train device=cpu": "did you mean trainer=cpu?",
    "train trainer.max_epochs=3.5": "trainer.max_epochs=3.5: is no whole number; set one",
    "train trainer.max_epochs=": "is no whole number",
    "train epochs:3": "epochs:3: is no key=value",
    # of another command
    f"eval {CHECKPOINT} data.frames=8": "data.frames comes with the checkpoint; leave it out",
    f"predict {CHECKPOINT} video=a frames=8": "data.frames comes with the checkpoint; leave it out",
    f"eval {CHECKPOINT} model=spatiotemporal": "the network comes with the checkpoint; leave it out",
    f"eval {CHECKPOINT} data.batch_size=8": "did you mean batch_size=8?",
    f"eval {CHECKPOINT} data.root=/x": "no data set is named; set one beside it, as data=folder data.root=/x",
    "prepare data.root=/x": "no data set is named; set one beside it, as data=folder data.root=/x",
    # what is not set
    "predict video=a.mp4": "ckpt_path: is not set; set ckpt_path=, a checkpoint or the folder of a run",
    f"predict {CHECKPOINT}": "video: is not set; set video=",
    f"export {CHECKPOINT}": "target: is not set; set target=",
    "train data=folder": "data.root: is not set; set data.root=, the folder of the videos",
    # values
    "train optim.optimizer.lr=1e-3x": "optim.optimizer.lr=1e-3x: is no number; set one, as 1e-3",
    "train optim.optimizer.lr=[1e-3,1e-4]": "optim.optimizer.lr=[0.001,0.0001]: is no number; set one, as 1e-3",
    "train trainer.max_epochs=ten": "trainer.max_epochs=ten: is no whole number; set one",
    "train loss.mixup=yes": "loss.mixup=yes: is no number",
    "train optim.optimizer.lr=1e-3,1e-4": "several values; set a list 'optim.optimizer.lr=[1e-3,1e-4]', a text with",
    "train 'data.dataset.group_before=(a|b)'": "it is a text: 'data.dataset.group_before=\"(a|b)\"'",
    "train 'seed=${foo}'": "error: ${foo}: refers to a key that there is not",
    "eval ckpt_path=[a,b]": "ckpt_path=[a,b]: is a list, and this key holds one path; set one;",
    # not key=value at all
    "train --epochs 3": "--epochs: keys are typed without dashes; did you mean trainer.max_epochs=3?",
    "train --lr=0.1": "--lr=0.1: keys are typed without dashes; did you mean optim.optimizer.lr=0.1?",
    "train --batch-size 4": "did you mean data.batch_size=4?",
    "train --verbose": "--verbose: is no option; keys are typed without dashes, as key=value",
    "train epochs": "epochs: has no value; set trainer.max_epochs=VALUE",
    "predict clip.mp4": "clip.mp4: a file is typed behind its key: video=clip.mp4",
    "eval best.ckpt": "best.ckpt: a file is typed behind its key: ckpt_path=best.ckpt",
    "train data=folder data.root=/my videos": "videos: stands alone; a path with blanks is put in quotes: ",
    "train data.root=a b c trainer.max_epochs=2": "put in quotes: 'data.root=a b c'",
    f"predict {CHECKPOINT} video=my - clip.mp4": "put in quotes: 'video=my - clip.mp4'",
    "predict ckpt_path=a clip.mp4": "clip.mp4: a file is typed behind its key: video=clip.mp4",
    "train --help nothing": "--help nothing: is no group and no key",
    "train --help data=foldr": "did you mean data=folder?",
}


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(utils, "run_and_report", utils.run_and_report)
    for name in ("clip.mp4", "best.ckpt"):
        (tmp_path / name).touch()


@pytest.mark.parametrize(("typed", "answer"), ANSWERS.items(), ids=list(ANSWERS))
def test_what_cannot_be_is_one_sentence(
    typed: str, answer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command, *words = shlex.split(typed)
    logs = [f"paths.logs={tmp_path}/logs"] if "--help" not in words else []
    monkeypatch.setattr(sys, "argv", [f"src/{command}.py", *words, *logs])
    with pytest.raises(SystemExit) as refused:
        importlib.import_module(f"vivit.commands.{command}").main()
    said = str(refused.value)
    assert said.startswith("error: ")
    assert answer in said
    assert "\n" not in said.strip()
    assert not (tmp_path / "logs").exists(), "nothing is begun"


def test_foreign_names_lead_to_keys_and_options_that_there_are(composed: Compose) -> None:
    groups = ("callbacks=[default,early_stopping]", "weights=image", "weights.source=a", "optim=sgd")
    config = composed(*groups, "+optim.optimizer.betas=[0.9,0.999]", "+optim.optimizer.weight_decay=0")
    commands = {command: composed(name=command) for command in (*_BY_COMMAND, "features")}

    def has(config: DictConfig, key: str) -> bool:
        node = config
        for part in key.split("."):
            if not isinstance(node, DictConfig) or part not in node:
                return False
            node = node._get_node(part)
        return True

    for key in _SHARED:
        outside = ("hydra.", "trainer.num_nodes", *(f"trainer.{name}" for name in TRAINER_ARGUMENTS))
        known = has(config, key) or key in groups_of("train") or key in ("top_k",) or key.startswith(outside)
        assert known, key
    for command, table in _BY_COMMAND.items():
        for key in table:
            assert has(commands[command], key) or key == "data.root" or key in root_keys(command), (command, key)
    for group, options in OPTIONS.items():
        assert set(options) <= set(group_options(group)), group
    assert set(HINTS) <= set(_SHARED)


def test_arguments_behind_a_plus_sign_are_those_of_lightning(composed: Compose) -> None:
    """The Trainer takes them, and none of them is a key already."""
    assert set(TRAINER_ARGUMENTS) <= set(inspect.signature(Trainer).parameters)
    assert set(TRAINER_ARGUMENTS).isdisjoint(composed().trainer)


def test_a_key_of_ones_own_is_never_foreign(composed: Compose) -> None:
    """A name that is a key of the command is not answered with another one."""
    for name in root_keys("train"):
        assert foreign_key(name, "train")[:1] in ([], [name], ["test"]) or name in groups_of("train")


def test_the_nearest_key_has_the_same_last_name() -> None:
    known = ["data.batch_size", "data.root", "optim.optimizer.lr", "trainer.max_epochs", "callbacks.lr_finder.min_lr"]
    assert nearest_keys("batch_size", known) == ["data.batch_size"]
    assert nearest_keys("model.batch_size", known) == ["data.batch_size"]
    assert nearest_keys("trainer.max_epohcs", known) == ["trainer.max_epochs"]
    assert nearest_keys("nothing_like_it", known) == []


def test_options_of_hydra_may_stand_anywhere() -> None:
    """Hydra takes none between two overrides."""
    assert options_first(["a=1", "-m", "b=2,3"]) == ["-m", "a=1", "b=2,3"]
    assert options_first(["a=1", "--config-dir", "x=y", "b=2"]) == ["--config-dir", "x=y", "a=1", "b=2"]
    assert options_first(["a=1", "--info", "b=2"]) == ["--info", "a=1", "b=2"]
    assert options_first(["--info", "defaults", "b=2", "--cfg=job"]) == ["--info", "defaults", "--cfg=job", "b=2"]


def test_one_number_is_height_and_width() -> None:
    assert square_crop("data.crop=32") == "data.crop=[32,32]"
    assert square_crop("++data.crop=32,48") == "++data.crop=[32,32],[48,48]"
    for same in ("data.crop=[32,40]", "data.crop=32x32", "data.resize=32"):
        assert square_crop(same) == same


def test_a_multirun_is_told_from_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for words, several in (
        (["-m", "data.root=a (1),b"], True),
        (["--multirun", "data.root=a (1),b"], True),
        (["sweep=seeds", "data.root=a (1),b"], True),
        (["-m", "hydra.mode=RUN", "data.root=a (1),b"], False),
        (["data.root=a (1),b"], False),
    ):
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        begin("train")
        assert ("data.root='a (1)',b" in sys.argv) == several, words
        assert ("data.root='a (1),b'" in sys.argv) != several, words
