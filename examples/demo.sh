#!/usr/bin/env bash
# The first run, from the shell: train on handwritten digits, follow it here, say where everything is.
set -euo pipefail
cd "$(dirname "$0")"

echo "Submitting examples/digits.py as a run of the experiment 'first-run'; what it prints follows."
echo
jupyter-mlrun submit --block -e first-run digits.py
echo
jupyter-mlrun show @1
cat <<'TEXT'

Where to go from here
  jupyter mlrun ps                 all runs
  jupyter mlrun logs @1            what this run printed
  jupyter mlrun show @1            where its files are, with the trained weights (outputs/model.pt)
  make lab                         the same from a notebook, in JupyterLab
TEXT
