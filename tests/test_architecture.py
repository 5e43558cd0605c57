"""The house as its plan has it: who may import whom, how files are called, how long they get, what is said twice."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src"
FILES = sorted(SOURCE.rglob("*.py"))
COMMANDS = [file for file in FILES if file.parent.name == "commands" and file.stem != "__init__"]
LONGEST = 260
"""Lines of a file."""

LEAVES = {"addresses", "clip_sheets", "config_folder", "cores", "entry_points", "errors", "groups", "io", "overrides"}
LEAVES |= {
    "plotting",
    "plugins",
    "processor",
    "progress_bars",
    "ranks",
    "run_folder",
    "signals",
    "sweeps",
    "text",
    "web_pages",
}
LEAVES |= {"wilson"}
"""Rooms without torch, which every other may import; among themselves they import what ``LEAF_IMPORTS`` lists."""
LEAF_IMPORTS = {
    "plotting": {"text"},
    "clip_sheets": {"plotting"},
    "run_folder": {"config_folder", "io", "processor", "text"},
    "entry_points": {"config_folder"},
    "ranks": {"run_folder"},
    "sweeps": {"config_folder"},
}

ROOMS = {
    "structures": {"errors"},
    "device": LEAVES,
    "models": {*LEAVES, "structures"},
    "data": {*LEAVES, "structures"},
    "evaluation": {*LEAVES, "structures"},
    "checkpoints": {*LEAVES, "structures", "models"},
    "features": {*LEAVES, "structures", "models"},
    "inference": {*LEAVES, "structures", "models", "checkpoints", "data", "evaluation"},
    "training": {*LEAVES, "structures", "device", "models", "evaluation", "checkpoints"},
    "benchmarks": {*LEAVES, "structures", "device", "models", "checkpoints", "data", "training"},
    "reporting": LEAVES,
    "launch": {*LEAVES, "structures", "reporting"},
    "tasks": {
        *LEAVES,
        *("structures", "models", "data", "evaluation", "checkpoints", "features", "inference", "training"),
        *("device", "benchmarks", "launch"),
    },
    "commands": {"tasks", "launch", "reporting"},
}
"""Rooms of ours that each room may import, beside itself (DESIGN: data flows one way)."""

FORBIDDEN = {
    **{room: {"torch", "lightning", "hydra", "omegaconf"} for room in LEAVES},
    "structures": {"lightning", "hydra", "omegaconf"},
    "device": {"lightning", "hydra", "omegaconf", "torchvision", "av"},
    "models": {"lightning", "hydra", "omegaconf", "torchvision", "av"},
    "data": {"hydra", "omegaconf", "lightning"},
    "evaluation": {"lightning", "hydra", "omegaconf"},
    "checkpoints": {"lightning", "hydra", "omegaconf"},
    "features": {"lightning", "hydra", "omegaconf"},
    "inference": {"lightning", "hydra", "omegaconf"},
    "training": {"hydra", "omegaconf"},
    "benchmarks": {"hydra", "omegaconf"},
    "reporting": {"torch", "lightning", "hydra", "omegaconf"},
    "launch": {"torch", "lightning"},
    "tasks": set(),
    "commands": {"torch", "lightning"},
}
"""Libraries that each room may not import."""

TORCHLESS = {"report.py": {"reporting", "launch"}, "dashboards.py": {"reporting", "launch"}}
"""Commands that pass plain values to a room that needs no torch, and what they import."""
EXCEPTIONS = {("vivit/data/datamodule.py", "lightning")}
PEERS = {"transformers", "torchcodec", "decord"}
"""Other implementations, which only the benchmarks import."""


def name(file: Path) -> str:
    return file.relative_to(SOURCE).as_posix()


def room(file: Path) -> str | None:
    """Return the room of a file below ``vivit``; None for commands and the package itself."""
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return parts[1] if parts[0] == "vivit" and parts[1] != "__init__" else None


def imported(file: Path) -> set[str]:
    """Return the dotted names of every module that a file imports, at the top or inside of functions."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(file)} imports relatively"
            modules |= {node.module} if node.module != "vivit" else {f"vivit.{alias.name}" for alias in node.names}
    return modules


def test_every_room_is_in_the_plan() -> None:
    assert {room(file) for file in FILES} - {None} == LEAVES | set(ROOMS) == set(FORBIDDEN)


@pytest.mark.parametrize("file", [file for file in FILES if room(file)], ids=name)
def test_imports_keep_to_the_plan(file: Path) -> None:
    here = room(file)
    modules = imported(file)
    ours = {module.split(".")[1] for module in modules if module.startswith("vivit.")}
    allowed = (LEAF_IMPORTS.get(here, set()) | {"errors", "io"} if here in LEAVES else ROOMS[here]) | {here}
    assert ours <= allowed, f"{here} may not import {ours - allowed}"
    libraries = {module.split(".")[0] for module in modules}
    allowed = {library for where, library in EXCEPTIONS if where == name(file)}
    assert not libraries & FORBIDDEN[here] - allowed
    assert not libraries & PEERS or here == "benchmarks"


@pytest.mark.parametrize("file", COMMANDS, ids=name)
def test_commands_are_thin(file: Path) -> None:
    """A docstring with the command, ``@launch.command``, one call."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert f"vivit-{file.stem}" in (ast.get_docstring(tree) or "")
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == ["main"]
    assert len(functions[0].body) <= 4
    used = {module.split(".")[1] for module in imported(file) if module.startswith("vivit.")}
    assert used == TORCHLESS.get(file.name, {"tasks", "launch"})


def test_every_command_is_a_script_and_an_entry_point_of_the_same_function() -> None:
    commands = {file.stem for file in COMMANDS}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {f"vivit-{command}": f"vivit.commands.{command}:main" for command in commands}
    assert {file.stem for file in FILES if file.parent == SOURCE} == commands
    for command in commands:
        tree = ast.parse((SOURCE / f"{command}.py").read_text(encoding="utf-8"))
        assert f"python src/{command}.py" in (ast.get_docstring(tree) or "")
        call = f"if __name__ == '__main__':\n    from vivit.commands.{command} import main\n    main()"
        assert [ast.unparse(node) for node in tree.body[1:]] == [call], "workers may import it, and need nothing of it"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_names_say_something_and_shadow_nothing(file: Path) -> None:
    assert file.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}
    if file.parent == SOURCE:
        assert file.stem not in sys.stdlib_module_names


@pytest.mark.parametrize("file", FILES, ids=name)
def test_files_stay_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("file", FILES, ids=name)
def test_nothing_happens_at_import(file: Path) -> None:
    """At the top of a file things are defined; nothing is called for its effect."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        allowed = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        main = isinstance(node, ast.If) and ast.unparse(node.test) in ("__name__ == '__main__'", "TYPE_CHECKING")
        assert isinstance(node, allowed) or docstring or main, f"line {node.lineno}: {ast.unparse(node)[:80]}"


class Anonymous(ast.NodeTransformer):
    """Take the names out, so that a copy with other names is still a copy."""

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("_", node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg("_")


def statements(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) else function.body


def test_no_function_is_written_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (body := statements(node)):
                if body[-1].end_lineno - body[0].lineno + 1 > 6:
                    text = "\n".join(ast.dump(Anonymous().visit(statement)) for statement in body)
                    places[text].append(f"{name(file)}: {node.name}")
    assert [where for where in places.values() if len(where) > 1] == []


def test_there_is_one_spelling() -> None:
    """Foreign names, with their z, stay in ``checkpoints``."""
    here = [file for file in FILES if room(file) != "checkpoints"]
    here += [*(REPOSITORY / "configs").rglob("*.yaml"), *REPOSITORY.glob("*.toml"), *REPOSITORY.glob("Makefile")]
    foreign = re.compile("factori" + "zed", re.IGNORECASE)
    assert [file.name for file in here if foreign.search(file.read_text(encoding="utf-8"))] == []


def test_the_readme_is_read_in_a_minute() -> None:
    """At most 900 words of prose: tables, code and pictures aside."""
    readme = re.sub(r"```.*?```", "", (REPOSITORY / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    prose = [line for line in readme.splitlines() if not line.startswith(("    ", "|", "!", "```"))]
    assert len(" ".join(prose).split()) <= 900


def test_the_documents_name_every_room() -> None:
    rooms_page = (REPOSITORY / "docs" / "rooms.md").read_text(encoding="utf-8")
    rooms = {path.name for path in (SOURCE / "vivit").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert not {room for room in rooms if f"{room}/" not in rooms_page}
