"""Measurements beside the paper and beside other libraries, which are imported here and nowhere else."""
