"""Keys and options of the first edition's configuration, with the names that they have now."""

RENAMED_KEYS = {
    # groups and options
    "regularise": "regularisation",
    "weights=large_pos_embed": "weights=large_pos_embed",
    "callbacks.lr_finder": "callbacks.lr_finder",
    # training
    "optim.optimizer": "optim.optimizer",
    "optim.param_groups": "optim.param_groups",
    "targets": "loss",
    "image_vit": "init_from.image",
    "vivit": "init_from.video",
    "callbacks.checkpoint_best": "callbacks.checkpoint_best",
    "callbacks.preemption": "callbacks.preemption",
    "callbacks.throughput": "callbacks.throughput",
    "callbacks.nan_check": "callbacks.nan_check",
    "callbacks.regularisation": "callbacks.regularisation",
    "callbacks.run_metadata": "callbacks.run_metadata",
    "callbacks.wandb_media": "callbacks.wandb_media",
    # data
    "data.dataset.label_columns": "data.dataset.label_columns",
    "data.dataset.count": "data.dataset.num_classes",
    "data.dataset.annotation_files": "data.dataset.annotation_files",
    "data.dataset.path_template": "data.dataset.path_template",
    "data.dataset.max_missing": "data.dataset.max_missing",
    "data.dataset.index_dir": "data.dataset.index_dir",
    "data.dataset.tail_classes": "data.dataset.tail_classes",
    "data.dataset.unseen_participants": "data.dataset.unseen_participants",
    "data.dataset.allow_unlabelled": "data.dataset.allow_unlabelled",
    "data.dataset.filter": "data.dataset.filter",
    "data.dataset.swap_labels_on_flip": "data.dataset.swap_labels_on_flip",
    "data.dataset": "data.dataset",
    "data.num_workers": "data.num_workers",
    "data.prefetch_factor": "data.prefetch_factor",
    "data.max_bad_share": "data.max_bad_share",
    "data.skip_unreadable": "data.skip_unreadable",
    "augment.color_transform": "augment.color_transform",
    "augment.hflip_prob": "augment.hflip_prob",
    "views.also_report": "views.also_report",
    # initial weights
    "weights.tubelet_init": "weights.tubelet_init",
    "weights.load_spatial_cls": "weights.load_spatial_cls",
    "weights.truncate_temporal_layers": "weights.truncate_temporal_layers",
    # other commands
    "workers": "num_workers",
    "skip_unreadable": "skip_unreadable",
    "bench.workers": "bench.num_workers",
}
"""Old name to new. A name with ``=`` is an option of a group; keys below a renamed one are renamed with it."""
