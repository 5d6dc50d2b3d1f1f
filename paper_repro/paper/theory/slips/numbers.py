"""Points about printed numbers."""

from __future__ import annotations

from paper_repro.measures.intervals import expected_maximum
from paper_repro.paper import published
from paper_repro.paper.theory.slips.checks import (
    PRINTED,
    TEST_LABELS,
    Confusion,
    accuracy_of,
    binary_rows,
    confusions,
    hits,
    largest_excess,
    same,
    split_size,
    standard_error,
    test_size,
    three_classes_can,
    z_value,
)
from paper_repro.paper.theory.slips.point import Point

FEW_SHOT, SMALL, GENERATED = "GPT-3.5 few-shot", "Small real world", "GPT-3.5 generated"
TITLES = {"financial": "Financial", "tweet_irony": "Tweet Irony", "mrpc": "MRPC"}

MRPC_FEW_SHOT_IN_TEXT = 68.82
"""Sec. 5.1, first paragraph of results."""
SENTENCES_IN_TEXT = 4840
"""App. H, Financial PhraseBank."""


def few_shot_mrpc() -> Point:
    """Sec. 5.1 against Tables 1 and 4, and every printed accuracy against its test set."""
    size, table = test_size("mrpc"), accuracy_of("table1", "mrpc", FEW_SHOT)
    in_text, in_table = hits(MRPC_FEW_SHOT_IN_TEXT, size), hits(table, size)
    counts = {"rounded": 0, "truncated": 0, "neither": 0}
    odd = []
    for name in PRINTED:
        for row in published.table(name).to_dict("records"):
            found = hits(row["accuracy"], test_size(row["benchmark"]))
            cut = next((way for way in ("rounded", "truncated") if found[way]), "neither")
            counts[cut] += 1
            if cut == "neither":
                odd.append(f"{row['accuracy']:g} ({row['method']}, {row['train_source']}, {TITLES[row['benchmark']]})")
    return Point(
        subject="MRPC few-shot accuracy",
        kind="slip",
        where="Sec. 5.1; Tables 1, 4",
        printed=f"{MRPC_FEW_SHOT_IN_TEXT} in the text, {table:g} in the tables",
        found=f"{table:g} is {in_table['rounded'][0]} of {size:,}; no k/{size} gives {MRPC_FEW_SHOT_IN_TEXT}, rounded "
        f"or truncated. Of {sum(counts.values())} accuracies in Tables 1, 2 and 4, {counts['rounded']} are rounded, "
        f"{counts['truncated']} can only be truncated, {counts['neither']} neither: {'; '.join(odd) or 'none'}",
        follows="take the tables' number; whether a method is above it is the same with either",
        borne_out=not any(in_text.values()) and len(in_table["rounded"]) == 1,
    )


def sentences() -> Point:
    """App. H against Table 5."""
    total = sum(split_size(split, "financial") for split in ("train", "dev", "test"))
    return Point(
        subject="Sentences in Financial PhraseBank",
        kind="slip",
        where="App. H; Table 5",
        printed=f"{SENTENCES_IN_TEXT:,} sentences",
        found=f"the splits of Table 5 sum to {total:,}, the size of the public file",
        follows="nothing is missing; the splits cover the whole file",
        borne_out=total != SENTENCES_IN_TEXT,
    )


def macro_f1_above_accuracy() -> Point:
    """The few-shot rows of two-class benchmarks: impossible as macro-F1; which F1 fits?"""
    rows = binary_rows()
    above = [row for row in rows if float(str(row["macro_f1"])) > float(str(row["accuracy"]))]
    names = sorted({f"{TITLES[str(row['benchmark'])]} {row['accuracy']:g}/{row['macro_f1']:g}" for row in above})
    fits = {benchmark: _f1_that_fits(benchmark) for benchmark in TEST_LABELS}
    others = [row for row in rows if row not in above]
    explained = sum(_macro_fits(row) for row in others)
    three = three_classes_can()
    return Point(
        subject="Macro-F1 above accuracy with two classes",
        kind="slip",
        where="Tables 1, 4, few-shot rows",
        printed="; ".join(names),
        found=f"over all two-class tables with up to 60 texts macro-F1 - accuracy is at most {largest_excess(60):g} "
        "points, and by concavity it never exceeds 0; with three classes it can "
        f"({three[1]:.1f} at {three[0]:.1f} % accuracy). "
        + "; ".join(f"{TITLES[name]}: {text}" for name, text in fits.items())
        + f". Of the other {len(others)} two-class rows, {explained} have a table with the test set's class counts",
        follows="the few-shot F1 are on another scale than the rest of their column and cannot be compared with it",
        borne_out={str(row["method"]) for row in above} == {FEW_SHOT} and largest_excess(60) <= 0,
    )


def _f1_that_fits(benchmark: str) -> str:
    """In words: tables with the few-shot accuracy in which the F1 of one class is the printed number."""
    accuracy = accuracy_of("table1", benchmark, FEW_SHOT)
    frame = published.table("table1")
    row = frame[(frame["method"] == FEW_SHOT) & (frame["benchmark"] == benchmark)]
    printed = float(row["macro_f1"].iloc[0])
    found = []
    for table in confusions(benchmark, accuracy):
        found += [(label, table) for label in (0, 1) if same(table.f1[label], printed)]
    if not found:
        return f"no class's F1 gives {printed:g} at {accuracy:g} %"
    label, table = found[0]
    return (
        f"{printed:g} is the F1 of class {label} alone in {len(found)} table(s), such as {table.right[0]} of "
        f"{table.counts[0]} and {table.right[1]} of {table.counts[1]} right; its macro-F1 is {table.macro_f1:.2f}"
    )


def _macro_fits(row: dict[str, object]) -> bool:
    tables = confusions(str(row["benchmark"]), float(str(row["accuracy"])))
    return any(same(table.macro_f1, float(str(row["macro_f1"]))) for table in tables)


def majority_classifier() -> Point:
    """Hu et al. on large real Tweet Irony."""
    frame = published.table("table1").query("method == \"Hu et al.'s\" and train_source == 'Large real world'")
    row = frame[frame["benchmark"] == "tweet_irony"].iloc[0]
    accuracy, f1 = float(row["accuracy"]), float(row["macro_f1"])
    counts = TEST_LABELS["tweet_irony"]
    always = Confusion((counts[0], 0), counts)
    fitting = [table for table in confusions("tweet_irony", accuracy) if same(table.macro_f1, f1)]
    return Point(
        subject="Hu et al. on large real Tweet Irony",
        kind="slip",
        where="Table 1",
        printed=f"{accuracy:g} / {f1:g}",
        found=f"always naming the larger class is right on {counts[0]} of {sum(counts)}: {always.accuracy:.2f} / "
        f"{always.macro_f1:.2f}. Of all tables with the class counts that give the printed pair, {len(fitting)} is "
        f"there, with {fitting[0].right[1] if fitting else '?'} ironic texts right",
        follows="that run had not learnt anything; it does not tell how good the method is",
        borne_out=fitting == [always],
    )


def not_in_all_benchmarks() -> Point:
    """Sec. 5.1's "in all benchmarks" against the tables."""
    table = published.table("table1")
    few = table[table["method"] == FEW_SHOT].set_index("benchmark")["macro_f1"]
    ours = table[(table["train_source"] == GENERATED) & table["method"].str.contains("Ours")]
    best = ours.groupby("benchmark")["macro_f1"].max()
    lost = [name for name in TITLES if few[name] > best[name]]
    pairs = "; ".join(f"{TITLES[name]} {few[name]:g} against {best[name]:g}" for name in lost)
    imp, ce = (accuracy_of("table2", "tweet_irony", m, model_size="large") for m in ("IMP-Loss (base DC)", "CE-Loss"))
    return Point(
        subject="“In all benchmarks”",
        kind="slip",
        where="Sec. 5.1; Tables 1, 2",
        printed="the methods are said to be ahead on all benchmarks",
        found=f"the few-shot row's F1, as printed, is above the best of IMP and DIMP: {pairs}. Table 2's IMP with the "
        f"base diversity checker has {imp:g} on Tweet Irony, CE {ce:g}",
        follows="the sentence holds for accuracy in Table 1; the F1 column and Table 2 have exceptions",
        borne_out=lost == ["financial", "mrpc"] and imp < ce,
    )


def standard_errors() -> Point:
    """How much of the printed differences the test sets and the best of several runs can make."""
    table = published.table("table1")
    here = table[(table["train_source"] == GENERATED) & ~table["method"].str.startswith("Hu")]
    errors, zs = [], []
    for name in TITLES:
        size, rows = test_size(name), here[here["benchmark"] == name]
        errors.append(f"{TITLES[name]} {standard_error(rows['accuracy'].mean(), size):.2f}")
        imp, without = (
            accuracy_of("table1", name, method, train_source=GENERATED)
            for method in ("IMP-Loss (Ours)", "- w/o diversity checker")
        )
        zs.append(z_value(imp, without, size))
    dimp, ce = (
        accuracy_of("table1", "tweet_irony", m, train_source=GENERATED) for m in ("DIMP-Loss (Ours)", "CE-Loss")
    )
    against_ce = z_value(dimp, ce, test_size("tweet_irony"))
    return Point(
        subject="Noise of the best of four",
        kind="open point",
        where="Tables 1, 2, 4; App. F",
        printed="the best of four runs, without an interval",
        found=f"one standard error at the mean printed accuracy on generated data: {', '.join(errors)} points. The "
        f"best of 4 runs that differ by chance lies {expected_maximum(4):.2f} sd above their mean, of 32 (8 settings x "
        f"4 seeds) {expected_maximum(32):.2f}. IMP against w/o diversity checker: z = "
        f"{', '.join(f'{z:.2f}' for z in zs)}; DIMP against CE on Tweet Irony: z = {against_ce:.2f} (as if the two "
        "were independent; on a shared test set a paired test can be sharper, but needs the predictions)",
        follows="a gain of one or two points between two best runs is within chance; compare means over seeds",
        borne_out=sum(abs(z) < 1.96 for z in zs) == 2 and against_ce < 1.96,
    )
