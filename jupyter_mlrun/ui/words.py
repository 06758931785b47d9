"""How people say it: durations, sizes, numbers, and the sign of each status."""

from __future__ import annotations

from jupyter_mlrun.states import Status

ARTIFACT = "aml://artifactId/"  # how the address of a logged picture or table begins
# icon and colour class of each kind of status
LOOKS = {
    Status.COMPLETED: ("✓", "good"),
    Status.FAILED: ("✕", "bad"),
    Status.CANCELED: ("⊘", "dim"),
    Status.RUNNING: ("▶", "live"),
    Status.STARTING: ("▷", "live"),
    Status.FINALIZING: ("▷", "live"),
    Status.QUEUED: ("◷", "wait"),
    Status.NOT_STARTED: ("◷", "wait"),
    Status.CANCEL_REQUESTED: ("⊘", "wait"),
    Status.NOT_RESPONDING: ("?", "wait"),
}


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = int(seconds)
    for size, big, small_size, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {big} {rest} {small}" if rest else f"{whole // size} {big}"
    return f"{whole} s"


def size(count: float) -> str:
    """``512 B``, ``1.5 kB``, ``300 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def count(number: int, what: str) -> str:
    """``1 file``, ``1,797 files``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def number(value: object) -> str:
    """A metric's value, short."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        text = str(value)
        # of a picture's address its file, which people know
        return (text.rpartition("/")[2] if text.startswith(ARTIFACT) else text)[:60]
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"
