"""What a network looked at, and when it said what: from attention maps and logits to pictures."""

from vivit.explain.timeline import draw_timeline

__all__ = ["draw_timeline"]
