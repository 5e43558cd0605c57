"""Decoded frames of a small data set, in memory or in a file, from which clips are cut as from the videos."""
