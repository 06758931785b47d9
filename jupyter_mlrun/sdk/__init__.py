"""The Python API: workspaces, experiments, runs, and how a run is submitted."""
