"""The chat server of :mod:`chat_server` with answers known beforehand, for few-shot prediction and the cluster-agent.

Labels: ``FOLDER/answers.json`` tells the answer to the last message of a request. The cluster-agent gets criteria, and
clusters by the first word of each text; a cluster whose first word is "green" is not confirmed. Some draws get
something else: see :func:`clustered`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import chat_server

CRITERIA = {"metadata": {"colour": "the first word"}, "metrics": {"length": "1: short, 5: long"}}


def scripted(prompt: str) -> str:
    if "By what would you tell" in prompt:
        return "I would rather not." if '"odd"' in prompt else f"Sure!\n{json.dumps(CRITERIA)}"
    if "Put together what means the same" in prompt:
        return f"```json\n{json.dumps(CRITERIA)}\n```"
    if "Say in one sentence" in prompt:
        return "Group them\nby colour."
    if "Put each text into exactly one cluster" in prompt:
        return clustered(prompt)
    if "Is each cluster valid" in prompt:
        reasons = re.findall(r'^\d+\. texts [\d, ]+: "(.*)"$', prompt, re.MULTILINE)
        return f"Verdicts: {json.dumps([int(reason != 'green') for reason in reasons])}"
    answers: dict[str, str] = json.loads((chat_server.Handler.options.folder / "answers.json").read_text())
    return answers[prompt]


def clustered(prompt: str) -> str:
    """By first word; where the first text is "half ..." broken off, where it is "stray ..." with numbers too many."""
    texts = re.findall(r'^(\d+)\. "(\w+)', prompt, re.MULTILINE)
    groups: dict[str, list[int]] = {}
    for number, word in texts:
        groups.setdefault(word, []).append(int(number))
    clusters = [{"texts": numbers, "reason": word, "scores": {"length": 3}} for word, numbers in groups.items()]
    if texts[0][1] == "half":
        return json.dumps({"clusters": clusters})[:-20]
    if "stray" in groups:
        clusters.append({"texts": [1, len(texts) + 1], "reason": "again"})
    return json.dumps({"clusters": clusters})


class Scripted(chat_server.Handler):
    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        body = super().answer(request)
        body["choices"][0]["message"]["content"] = scripted(request["messages"][-1]["content"])
        return body


if __name__ == "__main__":
    chat_server.main(Scripted)
