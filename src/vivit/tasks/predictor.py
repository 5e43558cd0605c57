"""The predictor of a checkpoint, as a command's configuration describes it; without Lightning, for a quick start."""

from omegaconf import DictConfig

from vivit.checkpoints.vivit_checkpoint import load_network, resolve_checkpoint_file
from vivit.inference import Predictor, Preprocessing
from vivit.launch import Job
from vivit.overrides import escape_interpolation
from vivit.tasks.clip_settings import merge_typed_settings
from vivit.tasks.config_checks import check_loader_options


def build_predictor(cfg: DictConfig, job: Job) -> Predictor:
    """Return the predictor of ``ckpt_path``; its clips are those of the checkpoint's record, but for what is typed."""
    check_loader_options(cfg)
    file = resolve_checkpoint_file(cfg.ckpt_path)
    cfg.ckpt_path = escape_interpolation(str(file))
    network, record = load_network(file)
    preprocessing = Preprocessing.from_plain(merge_typed_settings(record["preprocessing"], cfg, job), file)
    if cfg.get("every") is not None:
        preprocessing = preprocessing.sliding(typed=bool(cfg.get("views")))
    return Predictor(
        network, classes=record["classes"], preprocessing=preprocessing, batch_size=cfg.batch_size,
        num_workers=cfg.num_workers, device=cfg.device, frames_fps=cfg.get("frames_fps"),
    )  # fmt: skip
