"""A package outside of this repository, as docs/extend.md describes one: a model and a data set."""
