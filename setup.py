"""The one build step that pyproject.toml has no words for: configs/, at the root of a clone, inside the package."""

from pathlib import Path
from shutil import copytree, rmtree

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Builds the package with its configurations; an editable installation reads those of the clone."""

    def run(self) -> None:
        """Build into an empty folder, so that no file of an earlier build is packaged."""
        package = Path(self.build_lib, "vivit")
        rmtree(package, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            copytree("configs", package / "configs")


setup(cmdclass={"build_py": BuildWithConfigs})
