"""Formats of other projects, and this repository's. Names that other projects give to parameters are nowhere else."""
