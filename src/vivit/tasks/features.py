"""The task of `features.py`: frozen features of every video of a data set."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from omegaconf import DictConfig

from vivit.checkpoints.vivit_checkpoint import load_network, model_record, resolve_checkpoint_file
from vivit.data import VideoDataModule
from vivit.data.datasets import SPLITS, Split
from vivit.device.malloc import disable_malloc_trim
from vivit.errors import ConfigError
from vivit.features.feature_file import FeatureFile, FeatureMetadata, Pieces, PieceWriter, read_metadata
from vivit.inference.dense_features import DenseEncoder
from vivit.inference.preprocessing import Preprocessing
from vivit.io import write_json
from vivit.launch import Job
from vivit.models import ViViT
from vivit.overrides import CUT_KEYS, DATA_KEYS, escape_interpolation
from vivit.run_folder import provenance
from vivit.structures import Batch, multi_label_heads, normalize_frames
from vivit.tasks.build import build_network, build_test_trainer
from vivit.tasks.clip_settings import data_record, merge_typed_settings, to_plain
from vivit.tasks.config_checks import (
    check_dataset_overrides,
    check_keys,
    check_loader_options,
    listed_entries,
    listed_splits,
)
from vivit.tasks.dataset import build_dataset
from vivit.tasks.dense_features import write_dense_features
from vivit.tasks.evaluate import LOADER_KEYS, build_eval_data
from vivit.tasks.initial_weights import check_weights_source, load_initial_weights
from vivit.tasks.probes import check_probes, probe_features
from vivit.tasks.training_checks import is_sharded
from vivit.training import format_model

log = logging.getLogger(__name__)


class FeatureExtractor(LightningModule):
    """Writes the features of the videos of a test, each rank into a piece of its own."""

    def __init__(self, network: ViViT, pieces: Pieces, layer: int | None, clips_at_once: int) -> None:
        super().__init__()
        self.network, self.pieces = network, pieces
        self.layer, self.clips_at_once = layer, clips_at_once
        self._writer: PieceWriter | None = None

    def on_test_start(self) -> None:
        """Open this rank's piece."""
        self._writer = self.pieces.open(self.global_rank)

    def test_step(self, batch: Batch, batch_idx: int) -> None:  # type: ignore[override]
        """Write the features of a batch, video by video: how a clip is rounded depends on the clips beside it."""
        assert self._writer is not None
        dtype = next(self.network.parameters()).dtype
        for i, row in enumerate(batch.videos):
            clips = [normalize_frames(part, dtype) for part in batch.frames[i].split(self.clips_at_once)]
            parts = [self.network.features(part, self.layer) for part in clips]
            frames = torch.cat([part.frames for part in parts]).float()
            video = torch.cat([part.video for part in parts]).float().mean(0)
            numbers = (each[None].cpu().numpy() for each in (row, batch.labels[i].long(), frames, video))
            self._writer.add(*numbers)

    def on_test_end(self) -> None:
        """Close the piece, and wait for those of the other ranks."""
        if self._writer is not None:
            self._writer.close()
        self.trainer.strategy.barrier("features")


def extract_features(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Write a file of features for each split, and run probes on them; return the accuracies of these."""
    check_keys(cfg, "features")
    check_loader_options(cfg)
    if is_sharded(cfg):
        problem = "divides the network among devices, and each computes videos of its own, with all of it"
        raise ConfigError("trainer.strategy", "fsdp", problem, "set trainer=ddp, or trainer=ddp_cpu")
    splits, probes = listed_splits(cfg), listed_entries(cfg, "probes")
    if cfg.layer is not None and type(cfg.layer) is not int:
        raise ConfigError("layer", cfg.layer, "is no number of blocks", "set one, or null: what the classifier takes")
    check_probes(probes, cfg.folds, splits or SPLITS)
    if cfg.dense:
        check_dense(cfg, probes)
    if cfg.ckpt_path or cfg.get("weights") or not probes:
        files, described = write_files(cfg, job, splits)
    else:  # of features that are there
        files = {split: Path(cfg.target) / f"{split}.arrow" for split in splits or SPLITS}
        files = {split: file for split, file in files.items() if splits or file.is_file()} or files
        check_probes(probes, cfg.folds, list(files))
        described = asdict(FeatureFile(next(iter(files.values()))).metadata)
    if files is None:
        return {}
    for split, file in files.items():
        print(f"{split}: {file}")
    rows = probe_features(files, probes, cfg.folds, cfg.groups, cfg.seed, job.folder) if probes else []
    results = {"files": {split: str(file) for split, file in files.items()}, "features": described, "probes": rows}
    write_json(job.folder / "results.json", results | provenance())
    return {f"{row['head']}/{row['probe']}": row["accuracy"] for row in rows}


def check_dense(cfg: DictConfig, probes: Sequence[str]) -> None:
    """Raise ConfigError for what features along complete videos do not have: probes, layers, ranks."""
    if probes:
        raise ConfigError("probes", list(probes), "are trained on clips, not with dense=true", "leave one of them out")
    if cfg.layer is not None:
        raise ConfigError("layer", cfg.layer, "is of clips, not of dense=true", "leave one of them out")
    if (devices := cfg.trainer.get("devices", 1)) not in (1, "auto"):
        raise ConfigError("trainer.devices", devices, "share no work with dense=true", "set 1")


def write_files(cfg: DictConfig, job: Job, splits: Sequence[Split]) -> tuple[dict[str, Path] | None, dict[str, Any]]:
    """Write the features of some splits, or all; return the files, None on ranks but the first, and what they are of.

    Raises ConfigError, before any work, where probes need a split that there is not.
    """
    network, record = (_from_checkpoint if cfg.ckpt_path else _from_weights)(cfg, job)
    network.eval().requires_grad_(False)
    data = build_eval_data(record, cfg, job, same_classes=False)
    if multi_label := list(multi_label_heads(data.heads)):
        problem = f"has several labels a video for {', '.join(multi_label)}, and features are stored with one"
        raise ConfigError("data", problem=problem, remedy="set a data set of single labels, or fine-tune with train.py")
    splits = splits or data.dataset.splits
    check_probes(listed_entries(cfg, "probes"), cfg.folds, splits)
    for split in splits:
        data.dataset.videos(split)  # raises, before any work, where one is missing
    source = cfg.ckpt_path or cfg.weights.source
    clips = merge_typed_settings(record["preprocessing"], cfg, job)
    disable_malloc_trim()
    trainer = build_test_trainer(cfg)
    described = {
        **{"model": format_model(record), "weights": str(source), "fingerprint": fingerprint(network)},
        **{
            "precision": str(trainer.precision),
            "layer": cfg.layer,
            "shape": feature_shape(network, len(data.test_views), cfg.layer),
            "clips": clips,
        },
        **{"data": {key: str(value) for key, value in _data_source(record, cfg).items()}, "heads": data.heads},
    }
    if cfg.dense:
        typed = bool(job.cli_overrides("views"))
        preprocessing = Preprocessing.from_plain(clips, source, cfg.num_workers).sliding(typed=typed)
        encoder = DenseEncoder(network, preprocessing, cfg.batch_size, trainer.strategy.root_device)
        return write_dense_features(data, encoder, splits, Path(cfg.target), described), described
    written: dict[str, Path] = {}
    for split in splits:
        metadata = FeatureMetadata(**described, split=split)
        written[split] = write_split(trainer, network, data, split, metadata, cfg)
    return (written if trainer.is_global_zero else None), described


def _from_checkpoint(cfg: DictConfig, job: Job) -> tuple[ViViT, dict[str, Any]]:
    """Return the network and the record of a checkpoint."""
    if typed := job.cli_overrides("weights", "model", "size", "tokeniser", "positions"):
        raise ConfigError(typed[0].partition("=")[0], problem=f"has no effect beside ckpt_path={cfg.ckpt_path}",
                          remedy="leave one of them out")  # fmt: skip
    check_dataset_overrides(job, DATA_KEYS, ("views", *LOADER_KEYS))
    if not job.cli_overrides("resampling"):
        cfg.resampling = None  # that of the checkpoint
    cfg.ckpt_path = escape_interpolation(str(resolve_checkpoint_file(cfg.ckpt_path)))
    return load_network(Path(cfg.ckpt_path))


def _from_weights(cfg: DictConfig, job: Job) -> tuple[ViViT, dict[str, Any]]:
    """Return a network with the weights that are named, and what a checkpoint of it would record."""
    if not cfg.get("weights"):
        raise ConfigError("ckpt_path", problem="is not set", remedy="set it, or weights=image weights.source=FILE")
    if not cfg.get("data"):
        raise ConfigError("data", problem="is not set", remedy="set data=folder data.root=/videos or alike")
    check_dataset_overrides(job, (*DATA_KEYS, *CUT_KEYS), ("views", *LOADER_KEYS))
    dataset = build_dataset(cfg)
    dataset.prepare()
    check_weights_source(cfg)
    if "load_spatial_cls" in cfg.weights and not job.cli_overrides("weights.load_spatial_cls"):
        cfg.weights.load_spatial_cls = True  # training learns one of its own; here nothing does
    classes = {head: list(names) for head, names in dataset.heads.items()}
    network = build_network(cfg, sum(map(len, classes.values())))
    load_initial_weights(cfg, network)
    return network, {**model_record(network), **data_record(to_plain(cfg.data)), "classes": classes}


def _data_source(record: Mapping[str, Any], cfg: DictConfig) -> dict[str, Any]:
    return dict(record.get("data", {})) if not cfg.get("data") else {key: cfg.data[key] for key in DATA_KEYS}


def write_split(
    trainer: Trainer,
    network: ViViT,
    data: VideoDataModule,
    split: Split,
    metadata: FeatureMetadata,
    cfg: DictConfig,
) -> Path:
    """Write the features of one split, unless they are there; return the file. A run that was killed is gone on with.

    Raises ConfigError where the file or its pieces are of other features.
    """
    target = Path(cfg.target) / f"{split}.arrow"
    if target.is_file():
        if different := metadata.differences(read_metadata(target)):
            problem = f"is of other features ({', '.join(different)})"
            raise ConfigError("target", target, problem, "set another target, or delete the file")
        log.info("%s is complete", target)
        return target
    pieces, videos = Pieces(target, metadata), data.dataset.videos(split)
    done = pieces.rows()
    if done:
        log.info("%d of %d videos of the split %s are done", len(done), len(videos), split)
    data.test_split, data.test_rows = split, sorted(set(range(len(videos))) - set(done))
    if data.test_rows:
        trainer.test(FeatureExtractor(network, pieces, cfg.layer, cfg.batch_size), data, verbose=False)
    skipped: dict[str, Any] = {of: counts for of, counts in data.skipped_videos().items() if of == split}
    if trainer.is_global_zero:
        pieces.merge(videos.column("path"), videos.column("name"), replace(metadata, skipped_videos=skipped))
    return target


def feature_shape(network: ViViT, views: int, layer: int | None) -> tuple[int, int, int]:
    """Return views, temporal indices and dimensions of the features of a video."""
    with torch.inference_mode():
        _, t, d = network.features(torch.zeros(1, 3, *network.clip_size), layer).frames.shape
    return views, t, d


def fingerprint(network: ViViT) -> str:
    """Return an abbreviated SHA-256 of the names and values of the weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
