"""Keys and options of the first edition's configuration, with the names that they have now."""

RENAMED_KEYS = {
    # groups and options
    "regularise": "regularisation",
    "weights=wide_positions": "weights=large_pos_embed",
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
    # other commands
    "workers": "num_workers",
    "skip_bad": "skip_unreadable",
    "bench.workers": "bench.num_workers",
}
"""Old name to new. A name with ``=`` is an option of a group; keys below a renamed one are renamed with it."""
