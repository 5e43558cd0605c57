"""The list of findings about a data set: every check in turn."""

from vivit.data.overview.alike_checks import check_alike
from vivit.data.overview.file_checks import check_files
from vivit.data.overview.findings import ClipPlan, Finding
from vivit.data.overview.label_checks import check_labels
from vivit.data.overview.metadata_check import check_metadata
from vivit.data.overview.videos import VideoFacts


def list_findings(facts: VideoFacts, plan: ClipPlan) -> list[Finding]:
    """Return what is wrong with a data set, or will surprise: warnings first. No video is opened."""
    findings = [*check_labels(facts, plan), *check_files(facts, plan), *check_alike(facts), *check_metadata(facts)]
    return sorted(findings, key=lambda finding: not finding.is_warning)
