"""What a user has, in miniature: films in folders, lists and tar files, and networks of every kind."""

import io
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from films import CLIP, film, network
from forked import REPOSITORY
from published_folders import epic_kitchens, kinetics, moments, place, something, write_csv
from transformers import (
    Dinov2Config,
    Dinov2Model,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    ViTConfig,
    ViTModel,
)

import vivit
from vivit.checkpoints import save_scenic
from vivit.inference.load import LoadedModel
from vivit.tasks.weight_formats import write_vivit

CLASSES = ("wave", "jump")
SPLITS = ("train", "train", "val", "test")
FILMS = 12
EPIC = {"noun": [f"noun{number}" for number in range(300)], "verb": [f"verb{number}" for number in range(97)]}


@dataclass
class UserFiles:
    """Twelve small films, and everything else below ``root``, by the names of the documents' placeholders."""

    root: Path
    address: str = ""
    """Of the folder ``web``, while it is served."""

    def __post_init__(self) -> None:
        self.films = [self._film(number) for number in range(FILMS)]
        self.labels = [CLASSES[number // 4 % 2] for number in range(FILMS)]
        self.splits = [SPLITS[number % 4] for number in range(FILMS)]
        for path, label, split in zip(self.films, self.labels, self.splits, strict=True):
            place(path, self.root / "folder" / split / label / path.name)
        self._lists()
        for name, make in {"kinetics": kinetics, "moments": moments, "ssv2": something, "epic": epic_kitchens}.items():
            make(self.root / name, self.films)
        self._challenge()
        self._tar_files()
        self._stream()
        self._package()

    def _film(self, number: int) -> Path:
        frames = np.random.default_rng(number).integers(0, 255, (24, 64, 64, 3), np.uint8)
        (self.root / "films").mkdir(exist_ok=True)
        return Path(film(self.root / "films" / f"{number}.mp4", frames))

    def _lists(self) -> None:
        rows = list(zip(self.films, self.labels, self.splits, range(FILMS), strict=True))
        write_csv(self.root / "csv" / "videos.csv", [("path", "label", "split"), *(row[:3] for row in rows)])
        folds = [(path, label, number) for path, label, _, number in rows]
        write_csv(self.root / "folds" / "videos.csv", [("path", "label", "group"), *folds])
        tags = [(path, f"{label};walk" if number % 3 else label, split) for path, label, split, number in rows]
        write_csv(self.root / "tags" / "videos.csv", [("path", "label", "split"), *tags])
        columns = [(path, number % 2, int(label == "wave"), 1, split) for path, label, split, number in rows]
        write_csv(self.root / "columns" / "videos.csv", [("path", "walk", "wave", "jump", "split"), *columns])
        write_csv(self.root / "groups.csv", [("path", "group"), *((path.name, number) for path, *_, number in rows)])
        shutil.copy(self.root / "csv" / "videos.csv", self.root / "list.csv")
        names = [(f"{number}.mp4", label, split) for _, label, split, number in rows]
        write_csv(self.root / "web" / "videos.csv", [("path", "label", "split"), *names])
        for path in self.films:
            place(path, self.root / "web" / path.name)

    def _challenge(self) -> None:
        annotations = self.root / "epic" / "annotations"
        columns = ("participant_id", "video_id", "narration_id", "start_timestamp", "stop_timestamp")
        segment = ("P02", "P02_06", "P02_06_0", "00:00:00.00", "00:00:00.50")
        write_csv(annotations / "EPIC_100_test_timestamps.csv", [columns, segment])
        write_csv(annotations / "EPIC_100_unseen_participant_ids_test.csv", [("participant_id",), ("P02",)])

    def _tar_files(self) -> None:
        (self.root / "tars").mkdir()
        for wanted in ("train", "val", "test"):
            with tarfile.open(self.root / "tars" / f"{wanted}-000000.tar", "w") as tar:
                for path, label, split in zip(self.films, self.labels, self.splits, strict=True):
                    if split == wanted:
                        tar.add(path, path.name)
                        member = tarfile.TarInfo(f"{path.stem}.cls")
                        member.size = len(label)
                        tar.addfile(member, io.BytesIO(label.encode()))

    def _stream(self) -> None:
        """Write the first film as a camera sends it."""
        with av.open(str(self.films[0])) as source, av.open(str(self.root / "stream.ts"), "w", format="mpegts") as ts:
            stream = ts.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    ts.mux(packet)

    def _package(self) -> None:
        """Write the package ``mylab`` into a folder to work in, and the list of films that its data set reads."""
        source = REPOSITORY / "tests" / "extension" / "mylab"
        shutil.copytree(source, self.root / "lab" / "mylab", ignore=shutil.ignore_patterns("__pycache__"))
        lists: dict[str, list[dict[str, str]]] = {"train": [], "val": [], "test": []}
        for path, label, split in zip(self.films, self.labels, self.splits, strict=True):
            lists[split].append({"file": str(path), "label": label})
        (self.root / "mylab").mkdir()
        (self.root / "mylab" / "labels.json").write_text(json.dumps(lists))

    def networks(self) -> None:
        """Write tiny image and video models as Hugging Face and the authors do, and one of EPIC-KITCHENS' heads."""
        tiny = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        Dinov2Model(Dinov2Config(**tiny, image_size=56, patch_size=14)).save_pretrained(self.root / "dinov2")
        vit = ViTConfig(**tiny, intermediate_size=256, image_size=56, patch_size=8)
        ViTModel(vit, add_pooling_layer=False).save_pretrained(self.root / "vit")
        video = VideoMAEConfig(**tiny, intermediate_size=256, image_size=56, patch_size=8, num_frames=4, tubelet_size=2)
        VideoMAEForVideoClassification(video).save_pretrained(self.root / "videomae")
        sizes = {"size": "tiny", "num_classes": 2, "frames": 4, "image_size": 32}
        save_scenic(vivit.create_model("factorised_encoder", **sizes), self.root / "checkpoint")
        write_vivit(LoadedModel(network(EPIC), "", EPIC, CLIP), self.root / "epic.ckpt")
