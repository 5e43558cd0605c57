"""The certificate: what is compared, what counts as held, and its table and picture."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import start
from matplotlib.colors import to_hex

from vivit.benchmarks import certificate
from vivit.benchmarks.certificate import WAYS, Outcome, Way, certificate_rows, compare
from vivit.benchmarks.certificate_picture import MARKS, NOTHING, draw_certificate, page_of_rows, plot_certificate
from vivit.errors import ConfigError

COMMITTED = Path(__file__).parents[2] / "docs"


def outcome(loss: float = 1.0, weight: float = 0.5, steps: int = 2, resumed: int | None = None) -> Outcome:
    return Outcome(dict.fromkeys(range(steps), loss), {1: 2.0}, {"w": torch.tensor([0.0, weight])}, resumed)


def test_largest_differences_decide_whether_a_promise_holds() -> None:
    near, exact = Way("near", ()), Way("exact", (), promise=0.0)
    row = compare(near, outcome(loss=1.0 + 4e-6, weight=0.5 - 8e-6, resumed=1), outcome())
    assert (row["train_loss"], row["val_loss"]) == (pytest.approx(4e-6), 0)
    assert row["weights"] == pytest.approx(8e-6, rel=0.01)
    assert (row["holds"], row["resumed"], row["steps"]) == (True, 1, 2)
    assert not compare(near, outcome(weight=0.5 + 2e-5), outcome())["holds"]
    assert not compare(exact, outcome(loss=1.0 + 1e-9), outcome())["holds"]
    assert compare(exact, outcome(), outcome())["holds"]
    with pytest.raises(ValueError, match="other steps"):
        compare(near, outcome(steps=3), outcome())


def test_unknown_ways_and_steps_that_are_not_shared_are_refused(tmp_path: Path) -> None:
    options = {"overrides": [], "folder": str(tmp_path), "target": str(tmp_path)}
    for key, value, more in (("ways", ["sideways"], {"clips": 8}), ("clips", 6, {"ways": ["parts"]})):
        with pytest.raises(ConfigError) as error:
            certificate_rows(**options, **({"ways": ["ranks"]} | more | {key: value}))
        assert error.value.key == f"bench.{key}"
    assert not list(tmp_path.iterdir())


def test_committed_table_and_picture_are_of_the_committed_numbers() -> None:
    record = json.loads((COMMITTED / "certificate.json").read_text(encoding="utf-8"))
    rows = record["rows"]
    assert [row["case"] for row in rows] == [way.text for way in WAYS.values()]
    assert all(row["holds"] for row in rows)
    assert (COMMITTED / "certificate.md").read_text(encoding="utf-8") == page_of_rows(rows, record["loss_fall"])
    first, last = record["loss_fall"]
    assert last < 0.9 * first, "equal weights of what learns nothing prove little"
    figure = draw_certificate(rows)
    for line, (name, (_, color)) in zip(figure.axes[0].lines, MARKS.items(), strict=False):
        assert list(line.get_xdata()) == [max(row[name], NOTHING) for row in rows]
        assert to_hex(line.get_color()) == to_hex(color)
    assert plot_certificate(rows)[:5] == b"<?xml"
    svg = (COMMITTED / "certificate.svg").read_text(encoding="utf-8")
    assert svg.count("<use") > len(rows)


class Forked:
    """A command as ``subprocess.Popen`` starts it, from a process that has the libraries loaded."""

    def __init__(self, command: list[str], *, stdout: Any, **_: Any) -> None:
        self.process = start(Path(f"{stdout.name}.{len(command)}"), *command[1:]).process
        self.pid = self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> None:
        self.process.join()

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode


@pytest.mark.slow
def test_four_parts_that_are_killed_go_on_on_two_ranks(
    small_motion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``make certificate``, shrunk: the command itself, killed within its second epoch."""
    monkeypatch.setattr(certificate.subprocess, "Popen", Forked)
    overrides = [
        "regularisation=none", "model.stochastic_depth=0.2", "optim=sgd", "optim.optimizer.lr=0.01", "size.depth=1",
        "trainer.max_epochs=4", "callbacks.batch_picture=null", f"data.root={small_motion}", "data.cache=none",
    ]  # fmt: skip
    options = {"overrides": overrides, "folder": str(tmp_path), "target": str(tmp_path / "target")}
    _, row = certificate_rows(ways=["parts_to_ranks"], clips=8, **options)
    assert row["holds"], row
    assert 0 < row["resumed"] < row["steps"]
    assert row["weights"] > 0, "two ranks add up otherwise"
    assert json.loads((tmp_path / "target" / "certificate.json").read_text())["rows"][1] == row
