#!/usr/bin/env bash
# The first run, from the shell: train on handwritten digits, follow it here, keep the model, say where everything is.
set -euo pipefail
cd "$(dirname "$0")"

echo "Submitting examples/digits.py as a run of the experiment 'first-run'; what it prints follows."
echo
run=$(jupyter-mlrun submit --quiet -e first-run digits.py)
jupyter-mlrun wait "$run"
echo
jupyter-mlrun show "$run"
echo
echo "Registering the trained weights, outputs/model.pt, as the next version of the model 'digits'."
model=$(jupyter-mlrun register "$run" outputs/model.pt --name digits --framework PyTorch --tag example=digits.py -q)
echo
jupyter-mlrun models digits
cat <<TEXT

Where to go from here
  jupyter mlrun ps                 all runs
  jupyter mlrun logs @1            what this run printed
  jupyter mlrun show @1            where its files are
  jupyter mlrun models             the models; this one is $model, in Python Model(Workspace(), id="$model")
  jupyter mlrun download @1        its files, copied here
  make lab                         the same from a notebook, in JupyterLab
TEXT
