"""Callbacks, one file each: checkpoints, preemption, checks of numbers, throughput, curves, averaging, schedules."""
