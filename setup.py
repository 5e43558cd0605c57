"""The one build step that pyproject.toml has no words for: configs/, at the root of a clone, inside the package."""

from pathlib import Path
from shutil import copytree, rmtree

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Builds the package with its configurations; an editable installation reads those of the clone."""

    def run(self) -> None:
        """Build into an empty folder, without files of an earlier build, and add the configurations."""
        if self.editable_mode:
            super().run()
            return
        rmtree(self.build_lib, ignore_errors=True)
        super().run()
        copytree("configs", Path(self.build_lib, "vivit", "configs"))


setup(cmdclass={"build_py": BuildWithConfigs})
