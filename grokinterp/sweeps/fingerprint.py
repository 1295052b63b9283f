"""Describe what a function does as data, so that sweeps with different measures share no store.

A fingerprint covers the compiled code and everything it refers to by name: helpers and other
globals, enclosed variables, defaults, attributes of objects. Code of installed packages is compared
by name only; ``probes`` and ``analyses`` are followed even if installed. Not compared: addresses,
the order of sets, line numbers, comments, docstrings, and the module's name, so a function has the
same fingerprint in a script and when imported.
"""

import sys
import types
from collections import deque
from collections.abc import Generator, Iterable
from typing import Any

from grokinterp.sweeps.bytecode import instructions, signature
from grokinterp.sweeps.contents import contents, digest, has_pieces, pieces, plain, title, unwrapped

# Name of a function, class or callable object -> its pieces ("code", "global SCALE", ...) -> text.
Fingerprint = dict[str, dict[str, str]]

_SHOWN = 80  # most characters of a text; a longer one becomes its beginning and a digest
_PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"  # decides the bytecode

_Steps = Generator[Any, str, str]  # yields inner values, receives their texts, returns the text


def fingerprint(function: Any) -> Fingerprint:
    """The pieces of a function or callable object, as text; the object's own name comes first.

    Equal between sessions and processes of the same minor version of Python, because the compiler
    decides the bytecode. Objects that cannot be pickled (locks, files, generators) are compared by
    type only.
    """
    walk = _Walk(within=frozenset())
    name = walk.text(function)
    walk.follow()
    return {name: {}} | walk.parts


class _Walk:
    """Describes values as text; functions, classes and callables get a name and an entry each.

    Args:
        within: ids of the sets whose members are being described.
    """

    def __init__(self, within: frozenset[int]) -> None:
        self.parts: Fingerprint = {}
        self._within = within
        self._names: dict[int, str] = {}  # id -> key in ``parts``
        self._waiting: deque[Any] = deque()
        self._known: dict[int, str] = {}  # id -> text
        self._kept: list[Any] = []  # keeps values alive, so that no id is used twice
        self._path: dict[int, int] = {}  # id -> depth, for the containers around the current value
        self._cycles = 0  # references back to one of these containers, so far

    def follow(self) -> None:
        """Describe the values that only have a name so far, and all values these refer to."""
        while self._waiting:
            value = self._waiting.popleft()
            self.parts[self._names[id(value)]] |= {
                piece: self.text(part) for piece, part in pieces(value).items()
            }

    def text(self, value: Any) -> str:
        """A value as short text. Uses its own stack, so deeply nested data cannot overflow."""
        stack, answer = [self._steps(value)], ""
        started = False
        while stack:
            try:
                inner = stack[-1].send(answer) if started else next(stack[-1])
                stack.append(self._steps(inner))
                started = False
            except StopIteration as end:
                stack.pop()
                answer, started = end.value, True
        return answer

    def _steps(self, value: Any) -> _Steps:
        value = unwrapped(value)
        if (text := plain(value)) is not None:
            return _short(text)
        if has_pieces(value):
            return self._name(value)
        if isinstance(value, set | frozenset):
            return self._set(value)
        if id(value) in self._path:
            self._cycles += 1
            return f"<{len(self._path) - self._path[id(value)]} up>"
        if id(value) not in self._known:
            self._path[id(value)], cycles = len(self._path), self._cycles
            text = _short((yield from _from_parts(value)))
            del self._path[id(value)]
            if cycles != self._cycles:
                return text  # not cached: with a cycle the text depends on the starting point
            self._kept.append(value)
            self._known[id(value)] = text
        return self._known[id(value)]

    def _name(self, value: Any) -> str:
        if id(value) not in self._names:
            name, count = title(value), 1
            while name in self.parts:
                count += 1
                name = f"{title(value)} ({count})"
            self._names[id(value)], self.parts[name] = name, {}
            self._kept.append(value)
            self._waiting.append(value)
        return self._names[id(value)]

    def _set(self, values: Iterable[Any]) -> str:
        """Describe each member separately: the order is random, and so would be shared names."""
        if id(values) in self._within:
            return "<a set around>"
        texts = []
        for value in values:
            walk = _Walk(self._within | {id(values)})
            text = walk.text(value)
            walk.follow()
            texts.append(f"{text} {digest(repr(walk.parts))}" if walk.parts else text)
        return _short(f"{{{', '.join(sorted(texts))}}}")


def _from_parts(value: Any) -> _Steps:
    """The text of a value that contains other values."""
    texts = []
    if isinstance(value, types.CodeType):
        for operation, argument in instructions(value):
            texts.append(f"{operation} {(yield argument)}")
        return f"{digest(' '.join([repr(signature(value)), *texts]))} ({_PYTHON})"
    if type(value) in (list, tuple):
        for item in value:
            text = plain(item)  # a shortcut, as a list may hold a million numbers
            texts.append((yield item) if text is None else _short(text))
        return f"[{', '.join(texts)}]" if type(value) is list else f"({', '.join(texts)})"
    if type(value) is dict:
        for key, item in value.items():
            name = yield key
            texts.append(f"{name}: {(yield item)}")
        return f"{{{', '.join(texts)}}}"
    kind = yield type(value)
    for name, item in contents(value).items():
        texts.append(f"{name}={(yield item)}")
    return f"{kind}({', '.join(texts)})"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}... {digest(text)}"
