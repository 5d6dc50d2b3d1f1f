"""How diverse D_Q is in the eyes of a language model: the cluster-agent (Chen et al., arXiv 2410.15226).

1. **Criteria** ``m`` times the model sees ``j`` random texts and proposes 3 to 5 metadata and 3 to 5 metrics (scored 1
   to 5) by which such texts differ. The proposals are summed up, twenty at a time, until 3 to 5 of each are left, and
   these in one sentence.
2. **Clusters** ``n`` times it sees ``k`` random texts and groups them by the criteria. A text may stand alone.
3. **Verification** For each grouping it is asked, cluster by cluster, whether the texts belong together (1 or 0).
   Clusters that it does not confirm are dropped with their texts.

The score is the mean over the draws of C/S, the clusters that are left over the texts in them: 1/k where all texts are
alike, 1 where each stands for itself. The texts are put before the model as data, and nothing here acts upon their
words. What cannot be used of an answer is left out and counted.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.llm.ask import Asker
from paper_repro.llm.budget import Usage
from paper_repro.llm.client import Request
from paper_repro.llm.parsing import json_values, without_thoughts
from paper_repro.measures import intervals
from paper_repro.measures.diversity import cluster_score
from paper_repro.texts.generated import whole_texts
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_json, write_whole
from paper_repro.tools.paths import BUNDLED

AT_ONCE = 20  # proposals in one summary
UNUSED_PROPOSAL, UNUSED_DRAW, UNVERIFIED = "proposals unread", "draws unread", "draws not verified"
REJECTED, STRAY, NOTHING_LEFT = "clusters rejected", "indices dropped", "draws with no cluster left"

PROMPTS = tomllib.loads((BUNDLED / "cluster_agent.toml").read_text("utf-8"))


@dataclass(frozen=True)
class Settings:
    """``n`` draws of ``k`` texts to be clustered; ``m`` draws of ``j`` texts from which the criteria come."""

    n: int = 100
    k: int = 10
    m: int = 100
    j: int = 5
    seed: int = 0
    temperature: float = 1.0
    answer_tokens: int = 1024

    def estimate(self, pool: Pool) -> Usage:
        """Requests; tokens of prompts, guessed (four bytes of a text each, 200 around them) and of answers, at most."""
        left, requests = self.m, self.m + 1 + 2 * self.n
        while left > 1 or requests == self.m + 1 + 2 * self.n:  # summaries, one at least
            left = -(-left // AT_ONCE)
            requests += left
        each = sum(len(text.encode()) for text in whole_texts(pool)) / len(pool) / 4
        prompts = round(each * (self.m * self.j + 2 * self.n * self.k) + 200 * requests)
        return Usage(requests, prompts, requests * self.answer_tokens)


Cluster = tuple[tuple[int, ...], str]
"""Numbers of texts in the draw, from 1, and the reason why they belong together."""


@dataclass(frozen=True)
class Diversity:
    """``draws`` has one row a draw that counts: clusters (valid ones), texts (in them), rejected (clusters), score.

    ``counts`` tells what could not be used.
    """

    criteria: dict[str, Any]
    draws: pd.DataFrame
    counts: Counter[str]

    def score(self) -> intervals.Interval:
        """D with its 95 % interval over the draws. Raises UserError where no draw counts."""
        if not len(self.draws):
            raise UserError(f"no score: none of the draws could be used ({dict(self.counts)})")
        return intervals.mean_interval(self.draws["score"].to_numpy(dtype=float))


def measure(pool: Pool, settings: Settings, asker: Asker) -> Diversity:
    """Ask for criteria, clusters and verification over a sample of ``pool``; what the journal has is not asked again.

    Raises UserError for a pool that is too small, where the budget ends before all is asked (a larger one goes on),
    where no proposal can be read, and where the model cannot be asked.
    """
    if len(pool) < (size := max(settings.k, settings.j)):
        raise UserError(f"{len(pool)} texts: too few to draw {size} at a time")
    asker.terms.announce(settings.estimate(pool), "answers at their longest")
    counts = Counter[str]()
    criteria = _agreed(settings, asker, _drawn(pool, settings, 0), counts)
    draws = _drawn(pool, settings, 1)
    asked = criteria.pop("sentence"), json.dumps(criteria, ensure_ascii=False)
    answers = _ask(settings, asker, "cluster", [(*asked, draw) for draw in draws])
    read = [_clusters(answer, settings.k) for answer in answers]
    counts += Counter({STRAY: sum(stray for _, stray in read), UNUSED_DRAW: sum(not found for found, _ in read)})
    grouped = [(draw, found) for draw, (found, _) in zip(draws, read, strict=True) if found]
    verdicts = _ask(settings, asker, "verify", [(asked[0], draw, _listed(found)) for draw, found in grouped])
    rows = []
    for (_, found), answer in zip(grouped, verdicts, strict=True):
        valid = _verdicts(answer, len(found))
        kept = [cluster for cluster, ok in zip(found, valid, strict=False) if ok]
        counts += Counter({UNVERIFIED: not valid, REJECTED: valid.count(0), NOTHING_LEFT: bool(valid) and not kept})
        if kept:
            sizes = [len(numbers) for numbers, _ in kept]
            rows.append((len(kept), sum(sizes), len(found) - len(kept), cluster_score(sizes)))
    frame = pd.DataFrame(rows, columns=["clusters", "texts", "rejected", "score"])
    return Diversity({**criteria, "sentence": asked[0]}, frame, counts)


def _drawn(pool: Pool, settings: Settings, stage: int) -> list[str]:
    """The draws of a stage (0: criteria, 1: clusters): numbered texts, in one line each, whatever they hold."""
    texts, (count, size) = whole_texts(pool), ((settings.m, settings.j), (settings.n, settings.k))[stage]
    draws = []
    for number in range(count):
        chosen = np.random.default_rng([settings.seed, stage, number]).choice(len(texts), size, replace=False)
        lines = (f"{i}. {json.dumps(texts[row], ensure_ascii=False)}" for i, row in enumerate(chosen, 1))
        draws.append("\n".join(lines))
    return draws


def _ask(settings: Settings, asker: Asker, name: str, parts: Sequence[tuple[str, ...]]) -> list[str]:
    """The answers to one prompt filled with each of ``parts``, in order, without thoughts."""
    requests = []
    for number, part in enumerate(parts):
        said = ({"role": "system", "content": PROMPTS["role"]}, {"role": "user", "content": PROMPTS[name] % part})
        seed = (settings.seed * 1_000_003 + number) % 2**31
        requests.append(Request(said, settings.answer_tokens, settings.temperature, seed=seed))
    return [without_thoughts(answer.text) for answer in asker.ask_every(requests)]


def _agreed(settings: Settings, asker: Asker, draws: Sequence[str], counts: Counter[str]) -> dict[str, Any]:
    """Proposals, summed up until one is left (a single one, too, is summed up once), and the sentence."""

    def proposals(name: str, parts: Sequence[str]) -> list[str]:
        answers = _ask(settings, asker, name, [(part,) for part in parts])
        found = [one for one in map(_criteria, answers) if one]
        counts[UNUSED_PROPOSAL] += len(answers) - len(found)
        if not found:
            raise UserError(f"{asker.client.name}: no answer held metadata and metrics as JSON; try another model")
        return [json.dumps(one, ensure_ascii=False) for one in found]

    found = proposals("propose", draws)
    while True:
        found = proposals("reduce", ["\n".join(found[i : i + AT_ONCE]) for i in range(0, len(found), AT_ONCE)])
        if len(found) == 1:
            sentence = " ".join(_ask(settings, asker, "sentence", [(found[0],)])[0].split())
            return {**json.loads(found[0]), "sentence": sentence}


def _listed(clusters: Sequence[Cluster]) -> str:
    parts = ((", ".join(map(str, numbers)), json.dumps(reason)) for numbers, reason in clusters)
    return "\n".join(f"{i}. texts {numbers}: {reason}" for i, (numbers, reason) in enumerate(parts, 1))


def _criteria(answer: str) -> dict[str, dict[str, str]]:
    """Metadata and metrics, the first five of each with what they mean; nothing where an answer lacks one."""
    for value in json_values(answer, anywhere=True):
        parts = [value.get(name) if isinstance(value, dict) else None for name in ("metadata", "metrics")]
        named = [dict.fromkeys(map(str, part), "") if isinstance(part, list) else part for part in parts]
        short = [{str(k)[:80]: str(v)[:200] for k, v in list(p.items())[:5]} for p in named if isinstance(p, dict)]
        if len(short) == 2 and all(short):
            return {"metadata": short[0], "metrics": short[1]}
    return {}


def _clusters(answer: str, k: int) -> tuple[list[Cluster], int]:
    """The clusters of an answer, none where it holds none; and how many numbers were of no text or came twice."""
    for value in json_values(answer, anywhere=True):
        listed = value.get("clusters") if isinstance(value, dict) else value
        clusters, free, stray = [], set(range(1, k + 1)), 0
        for entry in listed if isinstance(listed, list) else ():
            numbers = entry.get("texts") if isinstance(entry, dict) else None
            if isinstance(numbers, list):
                fresh = tuple(dict.fromkeys(number for number in numbers if type(number) is int and number in free))
                free, stray = free - set(fresh), stray + len(numbers) - len(fresh)
                clusters += [(fresh, str(entry.get("reason", ""))[:300])] if fresh else []
        if clusters:
            return clusters, stray
    return [], 0


def _verdicts(answer: str, count: int) -> list[int]:
    """1 or 0 for each cluster; none where the answer does not say it of all."""
    lists = (value for value in json_values(answer, anywhere=True) if isinstance(value, list) and len(value) == count)
    return next(([int(v) for v in values] for values in lists if all(v in (0, 1) for v in values)), [])


def save(folder: Path, found: Diversity, model: str, settings: Settings, pool: Pool) -> Path:
    """Write ``draws.csv`` and ``diversity.json``: the score with its interval, n, the criteria, what was not usable."""
    interval = found.score()
    about = {"generator": model, "pool": pool.fingerprint, "settings": asdict(settings), "score": interval.mean}
    about |= {"low": interval.low, "high": interval.high, "draws": len(found.draws)}
    about |= {"counts": dict(+found.counts), "criteria": found.criteria}
    write_whole(folder / "draws.csv", found.draws.to_csv(index_label="draw").encode())
    write_json(folder / "diversity.json", about)
    return folder / "diversity.json"


def load(folder: Path, pool: Pool) -> dict[str, Any] | None:
    """What :func:`save` wrote about ``pool``; None where nothing was, or about another one."""
    path = folder / "diversity.json"
    about: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return about if about.get("pool") == pool.fingerprint else None
