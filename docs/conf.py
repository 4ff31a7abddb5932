"""The pages of this folder as a site: `make docs`. What a page is, and in which order, stands in index.md."""

from __future__ import annotations

project = "celery-cluster-autoscaler"
extensions = ["myst_parser"]
exclude_patterns = ["Thumbs.db", ".DS_Store"]

# A link to a heading is the heading in small letters, as on a page of the repository.
myst_heading_anchors = 4

# Blocks without a language are what terminals show.
highlight_language = "none"

html_theme = "alabaster"
html_title = project
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_theme_options = {
    "description": "A Celery application that sizes the cluster its tasks run on",
    "fixed_sidebar": True,
    "page_width": "1180px",
    "sidebar_width": "270px",
    "font_size": "16px",
}
