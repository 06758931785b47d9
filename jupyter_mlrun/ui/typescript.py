"""Makes TypeScript of a module's messages: constants, literals and TypedDicts, with what their comments say.

Reads the module's source; writes the file that it is told to.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union

_END = "\n# ---- the TypeScript"  # what stands below it in a source is no message
_FIELD = re.compile(r'^    (?:    )?"?(\w+)"?: [^#]*?(?:  # (.+))?$')
_START = re.compile(r"^(?:class (\w+)\((\w+)|(\w+) = TypedDict\()")
_CONSTANT = re.compile(r"^([A-Z_]+) = (\S+)  # (.+)$")
Known = Sequence[tuple[Any, str]]
_SIMPLE = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", Any: "unknown"}


@dataclass(frozen=True)
class Messages:
    """What becomes TypeScript, and where it goes.

    Args:
        module: its name, as ``__name__`` has it while it runs.
        target: the file.
        command: what writes the file.
        literals: names of literal types, in the order in which they are written.
        unions: names of unions of messages.
        above: modules whose messages come first, in the same file.
        foreign: names of messages of other modules, by the file that has them.
    """

    module: str
    target: Path
    command: str
    literals: tuple[str, ...] = ()
    unions: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    foreign: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def typescript(self) -> str:
        """The file as it must be."""
        modules = [sys.modules[name] for name in (*self.above, self.module)]
        there = {name: value for module in modules for name, value in vars(module).items()}
        texts = [Path(str(module.__file__)).read_text(encoding="utf-8").partition(_END)[0] for module in modules]
        source = "\n".join(texts).split("\n")
        comments = _comments(source)
        path = Path(str(modules[-1].__file__))
        name = "/".join(path.parts[path.parts.index("jupyter_mlrun", -4) :])
        parts = [f"// Made by `{self.command}` from {name}: change that, and run it again.\n", *self._imports()]
        parts += [*_constants(source), "\n\n"]
        known = [(there[one], one) for names in self.foreign.values() for one in names]
        for one in self.literals:
            parts.append(f"export type {one} = {type_of(there[one], known)};\n")
            known.append((there[one], one))
        shown = [one for one in comments if not one.startswith("_")]
        parts += [_interface(there[one], comments[one], known) for one in shown]
        for one in self.unions:
            names = " | ".join(part.__name__ for part in typing.get_args(there[one]))
            parts.append(f"\nexport type {one} = {names};\n")
        return "".join(parts)

    def _imports(self) -> list[str]:
        return [f"\nimport type {{ {', '.join(names)} }} from '{file}';\n" for file, names in self.foreign.items()]

    def main(self, arguments: list[str]) -> int:
        """Write the file, or with ``--check`` compare it; 1 where it is not as it must be."""
        made = self.typescript()
        if "--check" not in arguments:
            self.target.write_text(made, encoding="utf-8")
            return 0
        same = self.target.is_file() and self.target.read_text(encoding="utf-8") == made
        if not same:
            sys.stderr.write(f"{self.target} is not what its Python says: run `{self.command}`\n")
        return 0 if same else 1


def _constants(source: list[str]) -> list[str]:
    found = [match.groups() for line in source if (match := _CONSTANT.match(line))]
    return [
        f"\n/** {about} */\nexport const {name} = {value.replace(chr(34), chr(39))};" for name, value, about in found
    ]


def _comments(source: list[str]) -> dict[str, dict[str, str]]:
    """Of each message in the order of the source the comments of its fields; that of the whole under ``""``."""
    found: dict[str, dict[str, str]] = {}
    name, above = "", ""
    for line in source:
        start = _START.match(line)
        if start is not None:
            name = start[1] or start[3]
            # what the message that it extends says of its fields holds here, too
            found[name] = {**found.get(start[2] or "", {}), "": above}
        elif name and (match := _FIELD.match(line)) and match[2]:
            found[name][match[1]] = match[2]
        above = line[2:] if line.startswith("# ") else ""
    return found


def _interface(message: Any, said: Mapping[str, str], known: Known) -> str:
    words = said[""] or message.__doc__ or ""
    lines = [f"\n/** {' '.join(words.split())} */", f"export interface {message.__name__} {{"]
    for one, kind in typing.get_type_hints(message).items():
        optional = "?" if one in message.__optional_keys__ else ""
        if one in said:
            lines.append(f"  /** {said[one]} */")
        lines.append(f"  {one}{optional}: {type_of(kind, known)};")
    return "\n".join([*lines, "}\n"])


def type_of(kind: Any, known: Known = ()) -> str:
    """What a Python type is called in TypeScript.  Raises ``TypeError`` for one that has no place there.

    *known*: types that have a name there.
    """
    for one, name in known:
        if one == kind:
            return name
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if typing.is_typeddict(kind):
        return str(kind.__name__)
    return _compound(kind, typing.get_origin(kind), typing.get_args(kind), known)


def _compound(kind: Any, origin: Any, inside: tuple[Any, ...], known: Known) -> str:
    if origin is Literal:
        return " | ".join(f"'{one}'" if isinstance(one, str) else str(one) for one in inside)
    if origin in (Union, types.UnionType):
        return " | ".join(type_of(one, known) for one in inside)
    if origin is tuple:
        return f"[{', '.join(type_of(one, known) for one in inside)}]"
    if origin is dict:
        return f"Record<{type_of(inside[0], known)}, {type_of(inside[1], known)}>"
    if origin is list:
        item = type_of(inside[0], known)
        return f"({item})[]" if " | " in item else f"{item}[]"
    raise TypeError(f"{kind!r} has no place in TypeScript")
