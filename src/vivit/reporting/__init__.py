"""From run folders to tables. Needs no torch, so it runs anywhere."""
