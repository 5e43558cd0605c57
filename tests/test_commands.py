"""The commands of the README, as a user types them, on a small copy of the embedded data set."""

import csv
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import nbclient
import nbformat
import pytest
import torch

from vivit.data.datasets import motion

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]
VIDEOS = {"train": 48, "val": 16, "test": 18}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "motion"
    motion.generate(root, [replace(split, videos=VIDEOS[split.name]) for split in motion.SPLITS])
    return root


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    return tmp_path_factory.mktemp("logs")


def python(*words: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess:
    """Run a script of ours as a command, on one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.parametrize(("said", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU's OpenMP on Linux")
def test_waiting_threads_leave_their_cores_to_others_unless_the_user_says_otherwise(said, policy):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    told = subprocess.run(
        [sys.executable, "-c", "import vivit, torch"],
        env=environment | {"OMP_DISPLAY_ENV": "true"} | said, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert f"OMP_WAIT_POLICY = '{policy}'" in told.stderr


@pytest.fixture(scope="module")
def trained(data, logs):
    """Run folder of two short epochs."""
    folder = logs / "train" / "runs" / "trained"
    done = python(
        *("src/train.py", f"data.root={data}", f"paths.logs={logs}", f"hydra.run.dir={folder}"),
        *("trainer.max_epochs=2", "optim.warmup_epochs=0.5"),
    )
    assert done.returncode == 0, done.stderr
    assert "test/acc_top1, 4x1 views" in done.stdout
    return folder


def test_a_run_leaves_what_it_promises(trained):
    results = json.loads((trained / "results.json").read_text())
    assert json.loads((trained / "status.json").read_text())["status"] == "done"
    for name in (
        ".hydra/config.yaml",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "csv/metrics.csv",
        "run_metadata.json",
    ):
        assert (trained / name).is_file(), name
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert results["model"] == "factorised_encoder"
    assert results["size"] == "tiny"
    assert results["views"] == "4x1"
    assert results["seed"] == 1
    assert results["config"]["data"]["batch_size"] == 16
    assert 0 <= results["metrics"]["test/acc_top1"] <= results["metrics"]["test/acc_top5"] <= 1
    assert results["step_seconds"] > 0
    with (trained / "csv" / "metrics.csv").open(encoding="utf-8") as file:
        logged = [row["test/acc_top1"] for row in csv.DictReader(file) if row["test/acc_top1"]]
    assert [float(value) for value in logged] == [pytest.approx(results["metrics"]["test/acc_top1"])]
    kept = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)["callbacks"]["ThroughputMonitor"]
    assert results["train_seconds"] >= kept["train_seconds"] > results["step_seconds"]
    assert torch.__version__.startswith(results["versions"]["torch"])
    assert results["params"] == sum(
        weight.numel()
        for weight in torch.load(trained / "checkpoints/last.ckpt", weights_only=True)["state_dict"].values()
    )


def test_run_folder_documentation_names_every_file_and_every_key(trained):
    documentation = (REPOSITORY / "docs" / "run_folder.md").read_text(encoding="utf-8")
    files = [file.name for file in trained.rglob("*") if file.is_file()]
    generic = {re.sub(r"_verb(?=\.)", "_HEAD", name).replace("train.log", "<command>.log") for name in files}
    generic = {name.replace("HEAD.png", "HEAD.csv") for name in generic}
    undocumented = {name for name in generic if not re.search(rf"`(?:[\w.]+/)*{re.escape(name)}`", documentation)}
    assert undocumented <= {"motion.json"}, undocumented
    keys = json.loads((trained / "results.json").read_text())
    assert not {key for key in keys if f"`{key}`" not in documentation}


@pytest.mark.parametrize("other", [False, True], ids=["its own data", "data named anew"])
def test_a_checkpoint_is_enough_to_evaluate(trained, logs, data, other):
    words = ["data=motion", f"data.root={data}"] if other else []
    trained_results = json.loads((trained / "results.json").read_text())
    folder = logs / "eval" / f"again_{len(words)}"
    done = python(
        *("src/eval.py", f"ckpt_path={trained / 'checkpoints/best.ckpt'}", f"hydra.run.dir={folder}", "num_workers=0"),
        *words,
    )
    assert done.returncode == 0, done.stderr
    again = json.loads((folder / "results.json").read_text())
    assert again["views"] == "4x1"
    for name in ("test/acc_top1", "test/acc_mean_class"):
        assert again["metrics"][name] == pytest.approx(trained_results["metrics"][name], abs=1e-6)


def test_a_run_goes_on_from_its_checkpoint(trained, data, logs):
    folder = logs / "train" / "runs" / "longer"
    done = python(
        *("src/train.py", f"data.root={data}", f"paths.logs={logs}", f"hydra.run.dir={folder}", "test=false"),
        *("trainer.max_epochs=3", "optim.warmup_epochs=0.5", f"ckpt_path={trained / 'checkpoints/last.ckpt'}"),
    )
    assert done.returncode == 0, done.stderr
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 3 * (VIDEOS["train"] // 16)
    assert len(state["callbacks"]["CurvePlotter"]["epochs"]) == 3


def test_every_model_trains_with_both_tokenisers(data, logs):
    command = (
        *("src/train.py", "-m", "model=glob(*,exclude=_*)", "tokeniser=tubelet,uniform_frames", "debug=limit"),
        *(f"data.root={data}", f"paths.logs={logs}", "hydra.sweep.dir=" + str(logs / "train/multiruns/all")),
        *("data.num_workers=0", "data=motion_verb_noun"),
    )
    done = python(*command)
    assert done.returncode == 0, done.stderr
    results = [json.loads(file.read_text()) for file in (logs / "train/multiruns/all").glob("*/results.json")]
    assert len({(row["model"], row["tokeniser"]) for row in results}) == 12
    assert all("=" not in row["run_name"] and row["sweep"] == "all" for row in results)
    assert all(0 <= row["metrics"]["test/action_acc_top1"] <= 1 for row in results)
    before = {file: file.stat().st_mtime_ns for file in (logs / "train/multiruns/all").glob("*/results.json")}
    again = python(*command)
    assert again.returncode == 0, again.stderr
    assert before == {file: file.stat().st_mtime_ns for file in before}, "done jobs ran again"


def test_the_report_reads_every_run(trained, logs):
    broken = logs / "train" / "runs" / "broken"
    broken.mkdir()
    (broken / "status.json").write_text("{")
    folder = logs / "report"
    done = python("src/report.py", f"logs={logs}", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    text = (folder / "report.md").read_text()
    top1 = 100 * json.loads((trained / "results.json").read_text())["metrics"]["test/acc_top1"]
    assert f"{top1:.1f}" in next(line for line in text.splitlines() if "trainer.max_epochs=2" in line)
    assert "train/runs/broken: unreadable" in text


def test_the_model_benchmark_prints_the_papers_column(logs):
    done = python("src/benchmark.py", "bench=model", f"hydra.run.dir={logs / 'benchmark'}")
    assert done.returncode == 0, done.stderr
    for row in json.loads((logs / "benchmark" / "results.json").read_text())["rows"]:
        assert row["paper_gflops"] == pytest.approx(row["paper_printed"], rel=5e-4), row["case"]


BAD = {
    "model=factorised_encode": [
        "model=factorised_encode: there is no such option",
        "did you mean model=factorised_encoder?",
    ],
    "model.dept=3": ["model.dept=3: there is no key model.dept; did you mean model.depth=3?"],
    "+extra.thing=1": ["extra: is an unknown key"],
    "+size.dpeth=3": ["dpeth", "size"],
    "+callbacks.curve.folder=x": ["callbacks.curve: has no _target_"],
    "data.crop=[30,32]": ["data.crop.0=30", "tokeniser.tubelet.1=8", "24 or 32"],
    "data.frames=15": ["data.frames=15", "tokeniser.tubelet.0=2", "14 or 16"],
    "experiment=finetune data=folder data.root=no/such/folder": ["data.root=no/such/folder: there is no such folder"],
    "ckpt_path=no/such.ckpt": ["ckpt_path=no/such.ckpt: there is no such file"],
    "paths.logs=/dev/null/logs": ["/dev/null/logs", "cannot be written", "paths.logs"],
    "data.crop=[40,40]": ["data.crop=[40,40]: does not fit", "data.resize to at least 40"],
}


@pytest.fixture(scope="module")
def refusals(data, logs, trained):
    """What the command says to each bad input; two at a time."""
    base = (f"data.root={data}", f"paths.logs={logs}", "debug=limit")
    other = f"model=spatiotemporal ckpt_path={trained / 'checkpoints/last.ckpt'}"
    with ThreadPoolExecutor(2) as pool:
        tried = {bad: pool.submit(python, "src/train.py", *base, *bad.split()) for bad in [*BAD, other]}
    return {("another architecture" if bad == other else bad): future.result() for bad, future in tried.items()}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_one_clear_error(refusals, bad):
    said = refusals[bad]
    assert said.returncode != 0
    assert "Traceback" not in said.stderr
    assert "Epoch 0" not in said.stderr
    for words in BAD[bad]:
        assert words in said.stderr


def test_a_checkpoint_of_another_architecture_is_refused(refusals):
    said = refusals["another architecture"]
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert "this checkpoint holds factorised_encoder(" in said.stderr
    assert "the configuration is spatiotemporal(" in said.stderr


def test_a_loss_that_is_not_a_number_is_one_clear_error(data, logs):
    folder = logs / "train" / "runs" / "diverged"
    said = python(
        *("src/train.py", "debug=limit", "data.num_workers=0", "optim.optimizer.lr=1e30"),
        *(f"data.root={data}", f"paths.logs={logs}", f"hydra.run.dir={folder}"),
    )
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert "the loss is nan at step 1 (epoch 1)" in said.stderr
    assert "lower optim.optimizer.lr" in said.stderr
    assert json.loads((folder / "status.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("loss.mixup=null",), "loss.mixup=null: is not a number of at least 0"),
        (("data=csv", "data.dataset.group=null"), "data.dataset.group=null: is empty; set the name of a column"),
        (("+trainer.limit_train_batches=0",), "trainer.limit_train_batches=0: leaves nothing to train on"),
    ],
    ids=["mixup", "group", "nothing"],
)
def test_values_that_cannot_be_are_a_sentence_where_nothing_checks_types(words, said, data, logs):
    done = python("src/train.py", *words, f"data.root={data}", f"paths.logs={logs}")
    assert done.returncode == 1
    assert f"error: {said}" in done.stderr
    assert "Traceback" not in done.stderr


NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize(
    ("notebook", "place"),
    [*((file, "notebooks") for file in NOTEBOOKS), (REPOSITORY / "notebooks" / "ablations.ipynb", ".")],
    ids=lambda value: Path(value).stem,
)
def test_notebooks_run(notebook, place, data, logs, monkeypatch):
    monkeypatch.setenv("MOTION_ROOT", str(data))
    monkeypatch.setenv("NOTEBOOK_STEPS", "2")
    monkeypatch.setenv("NOTEBOOK_EPOCHS", "1")
    monkeypatch.setenv("NOTEBOOK_RUNS", str(logs / "notebooks"))
    content = nbformat.read(notebook, as_version=4)
    assert not any(cell.get("outputs") for cell in content.cells), "commit notebooks without outputs"
    nbclient.NotebookClient(content, timeout=240, resources={"metadata": {"path": str(REPOSITORY / place)}}).execute()
    assert any(output.output_type == "display_data" for cell in content.cells for output in cell.get("outputs", ()))


def test_the_training_benchmark_times_runs_as_they_are(logs, data):
    words = [f"data.root={data}", "trainer.max_epochs=2", "+trainer.limit_train_batches=3", "views=1x1"]
    folder = logs / "waits"
    overrides = f"bench.overrides={json.dumps(words)}"
    done = python("src/benchmark.py", "bench=train", overrides, "bench.num_workers=[0,1]", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    rows = json.loads((folder / "results.json").read_text())["rows"]
    assert [row["case"] for row in rows] == ["factorised_encoder, 0 workers", "factorised_encoder, 1 workers"]
    for row in rows:
        assert 0 < row["data_wait_share"] < 1
        assert row["clips_per_second"] > 0
    broken = python("src/benchmark.py", "bench=train", 'bench.overrides=["model=none"]', f"hydra.run.dir={folder}2")
    assert broken.returncode == 1
    assert "train.py model=none" in broken.stderr
    assert "model=none: there is no such option" in broken.stderr


def test_the_step_benchmark_times_every_form(logs):
    words = ("bench=step", "bench.size=tiny", "bench.frames=4", "bench.image_size=16", "bench.repeats=2")
    few = "bench.models=[spatiotemporal,average_pool]"
    done = python("src/benchmark.py", *words, few, "bench.precisions=[fp32,bf16]", f"hydra.run.dir={logs / 'step'}")
    assert done.returncode == 0, done.stderr
    rows = json.loads((logs / "step" / "results.json").read_text())["rows"]
    assert len({(r["name"], r["model"], r["precision"], r["phase"]) for r in rows}) == len(rows) == 2 * (9 + 5)
    assert {row["name"] for row in rows if row["model"] == "average_pool"} == {"ours", "plain"}
    assert {row["name"] for row in rows if row["phase"] == "optimizer"} == {"ours"}
    for row in rows:
        assert 0 < row["min"] <= row["seconds"] <= row["max"]
        assert (row["phase"] == "optimizer") == (row["matrix_share"] == 0)
        assert row["matrix_share"] < 2
        assert row["clips_per_second"] == pytest.approx(1 / row["seconds"])
        assert row["peak_mb"] > 0


def test_a_converted_checkpoint_is_evaluated_like_the_one_it_was(trained, data, logs):
    """Through the authors' format, which keeps the weights alone: what is lost is named again by the data set."""
    best, there, back = trained / "checkpoints/best.ckpt", logs / "there.msgpack", logs / "back.ckpt"
    said = ("model=factorised_encoder", "frames=16", "height=32", "width=32", "data=motion", f"data.root={data}")
    for words in ((f"source={best}", f"target={there}"), (f"source={there}", f"target={back}", *said)):
        done = python("src/convert.py", *words, f"paths.logs={logs}")
        assert done.returncode == 0, done.stderr
        assert "difference 0" in done.stdout
    folder = logs / "eval" / "converted"
    done = python("src/eval.py", f"ckpt_path={back}", f"hydra.run.dir={folder}", "num_workers=0")
    assert done.returncode == 0, done.stderr
    scores = [json.loads((run / "results.json").read_text())["metrics"] for run in (trained, folder)]
    assert scores[0]["test/acc_top1"] == pytest.approx(scores[1]["test/acc_top1"], abs=1e-6)
