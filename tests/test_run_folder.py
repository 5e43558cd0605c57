"""What a run folder says of the code and the machine."""

from pathlib import Path

import pytest

from vivit.reporting.report import report_metadata
from vivit.run_folder import provenance


def test_where_there_is_no_git_the_commit_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance()["commit"] is None
    assert report_metadata()["commit"] == "unknown"
