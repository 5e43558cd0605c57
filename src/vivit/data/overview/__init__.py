"""What a data set looks like: its videos as columns, what is wrong with it, what to set, and a page about all that."""

from vivit.data.overview.checks import list_findings
from vivit.data.overview.findings import ClipPlan, Finding
from vivit.data.overview.table import data_table
from vivit.data.overview.videos import VideoFacts, load_facts

__all__ = ["ClipPlan", "Finding", "VideoFacts", "data_table", "list_findings", "load_facts"]
