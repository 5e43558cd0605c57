"""Networks of any size for tests."""

from typing import Any

from vivit.models import Tokeniser, ViViT, build_model


def make_network(cls: type[ViViT], tokeniser: Tokeniser, **options: Any) -> ViViT:
    """Return a network of a class with random weights; ``options`` are those of its record."""
    return build_model(cls.name, tokeniser, **options)
