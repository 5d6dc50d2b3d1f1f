"""Asking a language model: safely, resumably, at a known cost.

=============  ==============================================================================================
exchange       one request, one response, one failed try, and what a backend has to be
server, local  backends: any OpenAI-compatible chat server; a Hugging Face causal model in this process
recorded       backend: the answers of a journal again, without asking anybody
journal        every try and every raw answer, on disk before anything is made of it
budget         limits in requests, tokens and money that are never passed
asking         many requests at once: retries, waiting, budget, journal
=============  ==============================================================================================

What is asked, and what becomes of the answers, is for those who use this: the generation of D_Q
(:mod:`paper_repro.llm.conversations`, ``parsing``, ``validation``, ``generate``), few-shot prediction (``few_shot``),
the cluster-agent (``clusters``). Nothing here knows a benchmark. In short::

    backend = Server("my-model", "http://127.0.0.1:8000/v1")
    with Journal(folder / "responses.jsonl.gz", backend) as journal:
        asker = Asker(backend, journal, Budget(Limits(requests=100), spent=journal.spent))
        responses = asker.ask_all(requests)  # None where the budget ended first

Asking again with the same journal asks nobody for what was answered.
"""
