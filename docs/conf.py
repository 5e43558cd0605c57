"""How Sphinx builds the documentation: `make docs`. Warnings are errors, and so is a link within that leads nowhere."""

import os
import sys
import tomllib
from pathlib import Path

from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

project = "ViViT"
author = "the authors of this repository"
copyright = author
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "results/README.md"]
templates_path = ["_templates"]
highlight_language = "bash"  # of what is indented: mostly commands
myst_heading_anchors = 3
nb_execution_mode = "cache" if os.environ.get("DOCS_NOTEBOOKS") else "off"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
KernelManager.transport_encryption.default_value = "auto"  # without it each kernel warns on the terminal
nb_output_stderr = "remove"  # progress and warnings of libraries; an error fails the build
nb_render_markdown_format = "myst"  # tables too

autodoc_default_options = {"members": True}
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
add_module_names = False

html_theme = "pydata_sphinx_theme"
html_title = f"ViViT {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["breaks.js"]
html_sidebars = {"**": ["all-pages.html"]}
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "navbar_center": [],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
}
