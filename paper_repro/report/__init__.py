"""The manifest of a profile's tables and figures, and the report made from it."""

from paper_repro.report.content import FIGURE_RULE
from paper_repro.report.manifest import Product, product, read_manifest, together, write_manifest
from paper_repro.report.page import build

__all__ = ["FIGURE_RULE", "Product", "build", "product", "read_manifest", "together", "write_manifest"]
