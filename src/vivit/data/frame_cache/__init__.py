"""Decoded frames of a small data set, as bytes in memory or in a file, from which clips are cut as from the videos."""
