"""The paper's own numbers, as printed in its first version (arXiv 2410.21526v1), and what it claims on them.

They are bundled as CSV and never edited: what looks like a slip stays as printed (notebook 07 lists them).
"""

from __future__ import annotations

import pandas as pd

from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

FOLDER = BUNDLED / "published"
NAMES = ("table1", "table2", "table3", "table4", "table5", "section3_2")

NUMBERS_NOT_KNOWN = (("generated", "sungen_camera_ready"),)
"""(train_source, method) of rows that the camera-ready adds to Table 1 and whose numbers stand in no text at
hand. They are shown empty and are never filled in."""


def table(name: str) -> pd.DataFrame:
    """A published table in long form, accuracies and F1 in per cent, seconds in Table 3.

    ``name`` is one of :data:`NAMES`; the columns are those of the CSV. Raises UserError for another name.
    """
    if name not in NAMES:
        raise UserError(f"no published table {name!r}; expected one of {', '.join(NAMES)}")
    return pd.read_csv(FOLDER / f"{name}.csv")


def items() -> pd.DataFrame:
    """Every item of the paper that this project covers: item, title, notebook, module.

    ``notebook`` is where it is made or will be made; ``module`` is where the code of it is, if it is code.
    """
    return _texts("items")


def claims(table: str = "table1") -> pd.DataFrame:
    """The paper's claims on Table 1 or 4 as comparisons: ``method`` is said to be more accurate than ``versus``.

    ``benchmarks`` is empty for all, else names separated by ";".
    """
    return _of_table("claims", table)


def sentences(table: str = "table1") -> pd.DataFrame:
    """The paper's sentences on several rows of :func:`claims`: id, claim, section, members (ids separated by ";")."""
    return _of_table("sentences", table)


def headlines() -> pd.DataFrame:
    """The paper's main claims, one plain sentence each: id, claim, section, item, table, members.

    ``table`` is the product whose rows judge it; ``members`` are these rows' ids, each behind the method that it is
    about ("IMP=generated_imp_ce"), separated by ";".
    """
    return _texts("headlines")


def _of_table(name: str, table: str) -> pd.DataFrame:
    frame = _texts(name)
    return frame[frame["table"] == table].drop(columns="table").reset_index(drop=True)


def _texts(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / f"{name}.csv", dtype=str, keep_default_na=False)
