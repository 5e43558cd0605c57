"""The commands: ``vivit-train`` and its like, which the scripts of a clone run too, as ``python src/train.py``."""
