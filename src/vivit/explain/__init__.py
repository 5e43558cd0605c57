"""What a network looked at, and when it said what: from attention maps and logits to pictures."""

from vivit.explain.drawing import draw_moments, enlarged, heated, spread, write_film, write_sheet
from vivit.explain.page import answer_page, refusal_page
from vivit.explain.rollout import FUSES, rollout
from vivit.explain.timeline import draw_timeline

__all__ = [
    "FUSES",
    "answer_page",
    "draw_moments",
    "draw_timeline",
    "enlarged",
    "heated",
    "refusal_page",
    "rollout",
    "spread",
    "write_film",
    "write_sheet",
]
