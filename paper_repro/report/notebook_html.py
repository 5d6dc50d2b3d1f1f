"""Executed notebooks as single HTML files that load nothing: they open on a machine without a network."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import latex2mathml.converter
import nbformat
from jinja2 import DictLoader, pass_context
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

# The standard page less the scripts that it would load from elsewhere (RequireJS, MathJax, Mermaid, widgets).
PAGE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
"""

# What the formula converter does not know, and what it does know that looks the same.
SYNONYMS = (
    (r"\begin{aligned}", r"\begin{split}"),
    (r"\end{aligned}", r"\end{split}"),
    (r"\operatorname*", r"\operatorname"),
)


def convert(notebook: Path, title: str) -> str:
    """The page of an executed notebook: images embedded, formulas as MathML, widgets by their text."""
    content = nbformat.read(notebook, as_version=4)
    # Without its state a widget is shown by the text that stands beside it, which needs no script.
    content.metadata.pop("widgets", None)
    resources = {"metadata": {"name": title, "path": str(notebook.parent)}}
    page, _ = _Exporter().from_notebook_node(content, resources)
    return str(page)


def math(latex: str, *, display: bool) -> str:
    """MathML of a LaTeX formula; one that cannot be converted is shown as it is written."""
    source = latex.strip()
    for unknown, known in SYNONYMS:
        source = source.replace(unknown, known)
    try:
        mathml = str(latex2mathml.converter.convert(source, display="block" if display else "inline"))
    except Exception:  # the converter raises whatever its parser trips over; a formula never costs the page
        return f"<code>{html.escape(latex)}</code>"
    # HTML needs no namespace, and nbconvert's headings would turn it into prefixes that browsers do not know.
    return mathml.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")


class _Renderer(IPythonRenderer):
    """Markdown with its formulas converted here rather than by a script in the browser."""

    def inline_math(self, body: str) -> str:
        return math(body, display=False)

    def block_math(self, body: str) -> str:
        return math(body, display=True)

    def block_html(self, html: str) -> str:
        # The parser that embeds pictures would close a <details> that goes on in the blocks below.
        return str(super().block_html(html)) if "<img" in html else html

    def latex_environment(self, name: str, body: str) -> str:
        return math(rf"\begin{{{name}}}{body}\end{{{name}}}", display=True)


class _Exporter(HTMLExporter):
    def __init__(self, **settings: Any) -> None:
        super().__init__(extra_loaders=[DictLoader({"offline.html.j2": PAGE})], **settings)
        self.template_file = "offline.html.j2"
        self.embed_images = True

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        cell = context.get("cell", {})
        renderer = _Renderer(
            escape=False,
            attachments=cell.get("attachments", {}),
            embed_images=True,
            path=context.get("resources", {}).get("metadata", {}).get("path", ""),
            anchor_link_text=self.anchor_link_text,
        )
        return MarkdownWithMath(renderer=renderer).render(source)
