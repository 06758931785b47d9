"""Views of what a workspace has, by name: read when they are looked into, and callable as in the SDK's first days.

Reads and writes nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_mlrun.errors import NotFound
from jupyter_mlrun.words import did_you_mean

if TYPE_CHECKING:
    from _collections_abc import dict_items, dict_keys, dict_values
    from collections.abc import Callable, Iterator

Value = TypeVar("Value")


class NoSuchKey(NotFound, KeyError):
    """Nothing has that name: caught by ``except KeyError`` as well as by ``except NotFound``."""


class Names(dict[str, Value]):  # noqa: PLW1641 -- as every dict, it has no hash
    """Things of one kind by name, as they are at the moment: each look reads anew.  Calling it gives itself.

    Args:
        kind: what the things are, for messages.
        read: every thing by name.
        find: one thing by name, None where there is none; it may know more names than *read* lists.
        also: what the hint for an unknown name ends with.
        why: why a name is not there, where more is known of it.
    """

    def __init__(
        self,
        kind: str,
        read: Callable[[], dict[str, Value]],
        find: Callable[[str], Value | None] | None = None,
        *,
        also: str = "",
        why: Callable[[str], str] = lambda _: "",
    ) -> None:
        super().__init__()
        self._kind, self._read, self._find, self._also, self._why = kind, read, find, also, why

    def _one(self, name: Any) -> Value | None:
        if self._find is not None:
            return self._find(name)
        return self._read().get(name)

    def __call__(self) -> Names[Value]:
        return self

    def __getitem__(self, name: Any) -> Value:
        found = self._one(name) if isinstance(name, str) else None
        return self.__missing__(name) if found is None else found

    def __missing__(self, name: Any) -> Value:
        raise NoSuchKey(
            f"no {self._kind} {name!r}",
            hint=self._why(str(name)) or "; ".join(filter(None, (did_you_mean(str(name), self._read()), self._also))),
        )

    def get(self, name: Any, default: Any = None) -> Any:
        """The thing of this name, else *default*."""
        found = self._one(name) if isinstance(name, str) else None
        return default if found is None else found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._one(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __bool__(self) -> bool:
        return bool(self._read())

    def keys(self) -> dict_keys[str, Value]:
        """The names, as they are now."""
        return self._read().keys()

    def values(self) -> dict_values[str, Value]:
        """The things, as they are now."""
        return self._read().values()

    def items(self) -> dict_items[str, Value]:
        """Names and things, as they are now."""
        return self._read().items()

    def copy(self) -> dict[str, Value]:
        """A plain dict of what is there now."""
        return dict(self._read())

    def __eq__(self, other: object) -> bool:
        return self._read() == (other.copy() if isinstance(other, Names) else other)

    def __repr__(self) -> str:
        return repr(self._read())
