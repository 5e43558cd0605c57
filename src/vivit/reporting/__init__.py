"""From run folders to tables, figures and one page. Needs no torch, so it runs anywhere."""

from vivit.reporting.remaining import remaining_table
from vivit.reporting.report import make_report

__all__ = ["make_report", "remaining_table"]
