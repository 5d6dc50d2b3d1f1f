"""``python -m paper_repro`` is ``paper-repro``."""

from paper_repro.cli import main

main()
