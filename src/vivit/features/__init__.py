"""Frozen features of videos: files of them, and what is trained on them."""
