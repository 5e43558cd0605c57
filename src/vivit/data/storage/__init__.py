"""Videos that are no files of a local disk: addresses that fsspec opens, and parts of tar files."""
