"""Sphinx configuration of the documentation site; `make docs` builds it from what docs/site/build.py gathers."""

import kdgov

project = "kdgov"
author = "The kdgov authors"
copyright = "The kdgov authors, Apache-2.0"
version = release = kdgov.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "kdgov"
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_custom_sections = [("Source", "notes_style")]
# Docstrings of this project write `name` for code, as Markdown does.
default_role = "code"
suppress_warnings = ["misc.highlighting_failure"]
