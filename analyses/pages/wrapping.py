"""Text of figures in lines: plotly breaks no line by itself."""

import re
import textwrap

_TAG = re.compile(r"<[^>]*>")
_KEPT = re.compile(
    r"\[[^\]]*\]|\([^)]{0,14}\)|\w+ = \S+"
)  # intervals, short words in brackets, p = 7
_BREAK = "<br>"


def wrapped(text: str, width: int) -> str:
    """Text in lines of at most ``width`` letters, unless a word or an interval [a, b] is longer.

    Tags, such as ``<b>``, take no room.
    """
    return _BREAK.join(_lines(line, width) for line in text.split(_BREAK))


def count_lines(text: str) -> int:
    """How many lines the text has; 0 if it is empty."""
    return text.count(_BREAK) + 1 if text else 0


def _lines(line: str, width: int) -> str:
    tags: list[str] = []

    def hide(found: re.Match[str]) -> str:
        tags.append(found.group())
        return _HIDDEN

    # Tags are left out while the text is broken, and put back at the same letters.
    shown = _TAG.sub(hide, line)
    plain = _KEPT.sub(lambda found: found.group().replace(" ", "_"), shown.replace(_HIDDEN, ""))
    broken = textwrap.wrap(plain, width, break_long_words=False, break_on_hyphens=False)
    if len(broken) < 2:
        return line
    ends = _ends(plain, broken)
    out, letters = "", 0
    for letter in shown:
        if letter == _HIDDEN:
            out += tags.pop(0)
            continue
        out += _BREAK if letters in ends else letter
        letters += 1
    return out


_HIDDEN = "\0"


def _ends(plain: str, broken: list[str]) -> set[int]:
    """The places of the blanks at which ``broken`` begins a new line."""
    ends, at = set[int](), 0
    for line in broken[:-1]:
        at = plain.index(line, at) + len(line)
        ends.add(at)
    return ends
