"""Executes notebooks as runs: papermill's engine ``jupyter_mlrun``, and the program that a notebook's run starts."""
