"""Re-runs, audits and teaches "Not All LLM-Generated Data Are Equal" (ICLR 2025, arXiv 2410.21526)."""

__version__ = "0.1.0"
