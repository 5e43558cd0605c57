"""Readers of videos: files through PyAV, and folders of numbered pictures."""
