"""Runs beside one another: a table of what differs, and the differences between two snapshots.  Pure: no I/O."""

from __future__ import annotations
