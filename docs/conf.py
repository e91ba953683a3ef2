"""How Sphinx builds the documentation site: make site."""

import sys
from pathlib import Path

from vecq_hw import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "vecq-hw"
author = "The vecq-hw authors"
project_copyright = "The vecq-hw authors, Apache-2.0"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "sources",
]

source_suffix = {".md": "markdown"}
exclude_patterns = ["_ext", "results/runs"]
nitpicky = False
suppress_warnings = [
    "myst.header",  # records that programs write begin where they like
    "ref.python",  # words of types in docstrings ("shape") that several classes have as fields
]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
default_role = "code"

html_theme = "furo"
html_title = "vecq-hw"
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c8a", "color-brand-content": "#0b5c8a"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}
copybutton_exclude = ".linenos, .gp, .go"
