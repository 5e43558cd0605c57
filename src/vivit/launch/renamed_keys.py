"""Keys and options of the first edition's configuration, with the names that they have now."""

RENAMED_KEYS = {
    # groups and options
    "regularise": "regularisation",
    "weights=wide_positions": "positions=learned_time",
    "weights=large_pos_embed": "positions=learned_time",
    "callbacks=rate_finder": "callbacks=lr_finder",
    "data=epic_kitchens_pictures": "data=epic_kitchens_frames",
    "callbacks.rate_finder": "callbacks.lr_finder",
    # training
    "optim.optimiser": "optim.optimizer",
    "optim.groups": "optim.param_groups",
    "targets": "loss",
    "image_vit": "init_from.image",
    "vivit": "init_from.video",
    "callbacks.best": "callbacks.checkpoint_best",
    "callbacks.interruption": "callbacks.preemption",
    "callbacks.stopwatch": "callbacks.throughput",
    "callbacks.finite": "callbacks.nan_check",
    "callbacks.strengths": "callbacks.regularisation",
    "callbacks.provenance": "callbacks.run_metadata",
    "callbacks.showcase": "callbacks.wandb_media",
    # data
    "data.catalogue.columns": "data.dataset.label_columns",
    "data.catalogue.count": "data.dataset.num_classes",
    "data.catalogue.lists": "data.dataset.annotation_files",
    "data.catalogue.files": "data.dataset.path_template",
    "data.catalogue.missing": "data.dataset.max_missing",
    "data.catalogue.prepared": "data.dataset.index_dir",
    "data.catalogue.tails": "data.dataset.tail_classes",
    "data.catalogue.unseen": "data.dataset.unseen_participants",
    "data.catalogue.unlabelled": "data.dataset.allow_unlabelled",
    "data.catalogue.where": "data.dataset.filter",
    "data.catalogue.swap_labels": "data.dataset.swap_labels_on_flip",
    "data.catalogue.classes": "data.dataset.class_file",
    "data.catalogue": "data.dataset",
    "data.workers": "data.num_workers",
    "data.prefetch": "data.prefetch_factor",
    "data.bad_share": "data.max_bad_share",
    "data.skip_bad": "data.skip_unreadable",
    "augment.colours.layers": "augment.color_transform.num_ops",
    "augment.colours": "augment.color_transform",
    "augment.flip": "augment.hflip_prob",
    "views.counts": "views.also_report",
    # initial weights
    "weights.inflation": "weights.tubelet_init",
    "weights.spatial_cls": "weights.load_spatial_cls",
    "weights.first_temporal_layers": "weights.truncate_temporal_layers",
    # models
    "model.heads": "model.num_heads",
    "model.temporal_heads": "model.temporal_num_heads",
    "model.representation": "model.representation_size",
    "model.checkpointing": "model.gradient_checkpointing",
    "model.order": "model.attention_order",
    "size.heads": "size.num_heads",
    "tokeniser.start": "tokeniser.init",
    "tokeniser.frames": "tokeniser.num_frames",
    # other commands
    "attention_heads": "num_heads",
    "workers": "num_workers",
    "skip_bad": "skip_unreadable",
    "bench.workers": "bench.num_workers",
    "metrics": "compute_metrics",
    "top": "top_k",
    "heads": "head_fusion",
    "largest": "max_upload_mb",
    "longest": "max_seconds",
    "decode": "full_decode",
    "quality": "crf",
    "shard": "shard_index",
    "shards": "num_shards",
    "outputs": "head_sizes",
    "bench.quality": "bench.crf",
    "bench.heads": "bench.head_fusion",
    "bench.plans": "bench.num_clips",
    "bench.rounds": "bench.num_passes",
    "bench.forms": "bench.variants",
    "bench.side": "bench.image_size",
    "bench.sides": "bench.image_sizes",
    "bench.at_side": "bench.fixed_image_size",
    "bench.at_frames": "bench.fixed_num_frames",
}
"""Old name to new. A name with ``=`` is an option of a group; keys below a renamed one are renamed with it."""

_REGISTER = (
    "set data.dataset.name; a class of your own gets one by vivit.data.datasets.register_dataset, and is found by "
    "plugins=[module]"
)
REMOVED_KEYS = {
    "data.dataset._target_": ("a data set is configured by its name, not by its class", _REGISTER),
    "data.dataset._partial_": ("a data set is configured by its name, not by its class", _REGISTER),
}
"""Keys without a new name: why there is none, and what to set."""
