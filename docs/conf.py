"""Sphinx's settings for the website that `make site` builds (paper_repro/report/site.py puts the pages together)."""

project = "paper_repro"
author = "The paper_repro contributors"
html_title = "paper_repro"
root_doc = "index"
extensions = ["myst_nb", "sphinx-mathjax-offline"]
exclude_patterns = ["figures/**"]

# Notebooks are shown as they were executed; nothing is run and nothing is loaded from elsewhere.
nb_execution_mode = "off"
nb_output_stderr = "remove"
nb_mime_priority_overrides = [("*", "application/vnd.jupyter.widget-view+json", None)]
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "html_image"]
myst_heading_anchors = 4
suppress_warnings = ["mystnb.unknown_mime_type", "misc.highlighting_failure"]

html_theme = "sphinx_book_theme"
html_theme_options = {
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],  # the search stands in the sidebar
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
