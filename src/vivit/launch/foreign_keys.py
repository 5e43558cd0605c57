"""What other projects call keys and options: the names that people bring along, each with the ones meant here."""

from collections.abc import Mapping

_SHARED = {
    "optim.optimizer.lr": "lr learning_rate lr0 base_lr init_lr peak_lr max_lr",
    "optim.optimizer.weight_decay": "wd weight_decay decay l2",
    "optim.optimizer.momentum": "momentum",
    "optim.optimizer.betas": "betas adam_betas",
    "optim": "optimizer optimiser opt solver",
    "optim.scheduler._target_": "scheduler lr_scheduler sched lr_schedule cos_lr",
    "optim.warmup_epochs": "warmup warmup_epochs num_warmup_epochs",
    "optim.warmup_share": "warmup_ratio warmup_share",
    "trainer.max_epochs": "epochs epoch num_epochs n_epochs max_epochs max_epoch total_epochs num_train_epochs",
    "trainer.max_steps": "steps max_steps num_steps iterations max_iter",
    "trainer.devices": "gpus gpu num_gpus n_gpus ngpus devices device nproc_per_node cuda",
    "trainer.num_nodes": "nodes num_nodes nnodes",
    "trainer.precision": "precision amp fp16 bf16 half mixed_precision use_amp",
    "trainer.accelerator": "accelerator",
    "trainer.accumulate_grad_batches": "accumulate accum_iter grad_accum gradient_accumulation_steps update_freq",
    "trainer.gradient_clip_val": "clip_grad grad_clip clip_grad_norm gradient_clip_val max_grad_norm",
    "trainer.limit_train_batches": "limit_train_batches",
    "data.batch_size": "batch_size batch bs batchsize train_batch_size per_device_train_batch_size",
    "data.num_workers": "workers num_workers n_workers nworkers num_cpus dataloader_num_workers",
    "data.crop": "img_size imgsz image_size im_size input_size crop crop_size resolution size_crop height width",
    "data.resize": "resize short_side scale_size",
    "data.frames": "frames num_frames n_frames nframes clip_len clip_length sequence_length seq_len num_segments",
    "data.stride": "stride sampling_rate frame_interval frame_stride temporal_stride",
    "data.fps": "fps target_fps",
    "data.root": "root path dir data_root data_dir data_path datadir dataset_path dataset_dir dataset video_dir train_dir",  # noqa: E501
    "data.val_share": "val_share val_split validation_split val_ratio val_size test_size",
    "data": "data_set data_name",
    "weights.source": "pretrained pretrained_path finetune_from init_checkpoint pretrain_path weights_path",
    "ckpt_path": "checkpoint ckpt checkpoint_path resume_from resume_from_checkpoint model_path load_from weight run",
    "hydra.run.dir": "output_dir out_dir outdir output_folder save_dir save_path work_dir log_dir logdir run_dir exp_dir "  # noqa: E501
    "project exp_name experiment_name run_name name",
    "model.dropout": "dropout drop_rate drop",
    "model.stochastic_depth": "drop_path drop_path_rate stochastic_depth droppath",
    "model.frozen": "freeze frozen freeze_backbone linear_probe",
    "model.attention_dropout": "attention_dropout attn_drop attn_dropout",
    "model.pool": "pool pooling pool_type",
    "model.depth": "depth num_layers n_layers layers num_hidden_layers",
    "model.num_heads": "num_heads n_heads num_attention_heads",
    "size.dim": "dim embed_dim hidden_size hidden_dim d_model width",
    "size.patch": "patch patch_size",
    "size.mlp_dim": "mlp_dim intermediate_size",
    "tokeniser.tubelet": "tubelet tubelet_size",
    "model": "arch architecture net network model_name backbone",
    "loss.mixup": "mixup mixup_alpha",
    "loss.label_smoothing": "label_smoothing smoothing",
    "loss.class_weights": "class_weights class_weight loss_weights",
    "augment": "aug augmentation augmentations aa",
    "augment.hflip_prob": "flip hflip fliplr horizontal_flip",
    "callbacks.checkpoint_best.monitor": "monitor metric",
    "callbacks.early_stopping.patience": "patience early_stopping early_stop",
    "callbacks": "ema use_ema model_ema",
    "logger": "log wandb use_wandb tensorboard report_to log_with tb",
    "experiment": "cfg config recipe preset",
    "test": "do_test run_test eval do_eval",
    "trainer": "accel hardware strategy",
    "debug": "fast_dev_run dry_run smoke_test",
    "seed": "seed random_seed rng",
    "top_k": "topk top k",
    "views": "num_views num_clips n_views num_crops",
}
"""Keys of the commands, each with what other projects call it."""
_BY_COMMAND = {
    "predict": {"video": "videos input in file files path src source data", "device": "gpu gpus devices accelerator cuda",  # noqa: E501
                "explain": "attention heatmap visualize", "every": "step window"},
    "demo": {"device": "gpu gpus devices accelerator cuda", "host": "server address ip share", "top_k": "topk k"},
    "eval": {"batch_size": "bs batch", "data.root": "root test_dir data_dir data_path dataset", "split": "splits subset"},  # noqa: E501
    "features": {"target": "output output_dir out_dir out save_dir", "splits": "split subset", "layer": "layers block"},
    "export": {"target": "output out out_file file format output_path onnx name"},
    "convert": {"target": "output out out_file output_path dst to", "source": "input in file path src from checkpoint"},
    "prepare": {"splits": "split subset", "copies": "resize short_side size", "num_workers": "jobs threads"},
    "report": {"logs": "log_dir logdir output_dir path root folder"},
    "dashboards": {"logs": "log_dir logdir output_dir path root folder", "project": "name"},
    "benchmark": {"bench": "benchmark name test"},
}  # fmt: skip
"""The same, where a command calls something by another name than training does, or has it alone."""
TRAINER_ARGUMENTS = (
    *("min_steps", "min_epochs", "max_time", "fast_dev_run", "overfit_batches", "limit_train_batches"),
    *("limit_val_batches", "limit_test_batches", "val_check_interval", "check_val_every_n_epoch", "detect_anomaly"),
    *("deterministic", "benchmark", "profiler", "sync_batchnorm", "gradient_clip_algorithm"),
)
"""Arguments of Lightning's Trainer that no configuration sets: typed behind a plus sign. To ask it takes seconds."""
HINTS = {
    "trainer.devices": "trainer=gpu is one GPU, trainer=ddp trainer.devices=4 are four",
    "trainer.num_nodes": "trainer=ddp trainer.num_nodes=2",
    "trainer": "trainer=gpu, ddp or fsdp",
    "debug": "debug=limit: three batches of everything",
    "optim.optimizer.momentum": "optim=sgd",
    "optim": "optim=adamw, sgd or adamw_layer_decay",
    "weights.source": "weights=image weights.source=FILE, or experiment=finetune",
    "callbacks.early_stopping.patience": "callbacks=[default,early_stopping]",
    "callbacks": "callbacks=[default,ema]",
    "logger": "logger=wandb or tensorboard",
    "data.crop": "as data.crop=224 beside data.resize=256",
    "data.root": "beside data=folder or data=csv",
}
"""How keys are set that are not set alone."""
NO_KEYS = {
    **dict.fromkeys(
        ("num_classes", "nc", "n_classes", "num_class", "classes", "nb_classes", "num_labels"),
        "the number of classes is that of the data set (of a checkpoint, its own); leave it out",
    ),
    **dict.fromkeys(
        ("cuda_visible_devices", "gpu_ids", "gpu_id"), "set the variable CUDA_VISIBLE_DEVICES, and trainer.devices"
    ),
    **dict.fromkeys(("task", "mode"), "each task is a command of its own: train.py, eval.py, predict.py"),
}
"""Names of other projects for what has no key here, and why."""
OPTIONS = {
    "model": {
        "factorised_encoder": "model2 vivit2 fe vivit vivit_b vivit_base vivit_l vivit_large default",
        "spatiotemporal": "model1 vivit1 joint st unfactorised spatio_temporal full",
        "factorised_self_attention": "model3 vivit3 fsa divided timesformer",
        "factorised_dot_product": "model4 vivit4 fdp",
        "average_pool": "mean avg_pool framewise",
    },
    "data": {"folder": "imagefolder videofolder own custom mydata videos video", "kinetics400": "kinetics k400",
             "kinetics600": "k600", "kinetics700": "k700", "ssv2": "something something_something sth_v2",
             "epic_kitchens": "epic epic100 ek100", "moments": "mit"},
    "optim": {"adamw": "adam adam_w default", "sgd": "momentum nesterov"},
    "trainer": {"gpu": "cuda single_gpu 1gpu", "ddp": "multi_gpu gpus distributed dp", "default": "auto"},
    "logger": {"tensorboard": "tb board", "wandb": "wb weights_and_biases", "none": "false off no"},
    "callbacks": {"none": "false off no"},
    "augment": {"crop_flip": "default basic simple true yes", "none": "false off no"},
    "views": {"1x1": "1 single", "4x1": "4", "4x3": "12 default", "10x3": "30"},
    "size": {"tiny": "t ti vit_t", "small": "s vit_s", "base": "b vit_b", "large": "l vit_l", "huge": "h vit_h"},
    "weights": {"image": "imagenet vit imagenet21k timm pretrained true", "dinov2": "dino", "none": "false scratch random",  # noqa: E501
                "video": "vivit finetuned checkpoint", "kinetics400_large": "kinetics k400 kinetics400 vivit_large"},
}  # fmt: skip
"""Options of groups, each with what it is called elsewhere."""


def foreign_key(name: str, command: str | None) -> list[str]:
    """Return the keys that a name of another project may mean in a command, the likelier ones first."""
    folded = name.rpartition(".")[2].lower().replace("-", "_")
    tables: list[Mapping[str, str]] = [_BY_COMMAND.get(command or "", {}), _SHARED]
    return [key for table in tables for key, names in table.items() if folded in names.split()]


def foreign_option(group: str, name: str) -> str | None:
    """Return the option of a group that a name of another project means; None where it is none of those."""
    folded = name.lower().replace("-", "_")
    return next((option for option, names in OPTIONS.get(group, {}).items() if folded in names.split()), None)
