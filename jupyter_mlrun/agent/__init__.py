"""The one process per home and host that decides what becomes of runs."""
