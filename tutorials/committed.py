"""What must hold of a tutorial as it is committed: executed, bounded, and made by this code."""

import base64
import hashlib
import html
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
FIGURE, IMAGE = "application/vnd.plotly.v1+json", "image/png"
VARIES = "varies"  # tag of a cell whose words, not only its numbers, depend on rounding

NOTEBOOK_BYTES, ALL_BYTES = 1_500_000, 6_000_000
FIGURE_BYTES = 60_000  # of a figure's data; a larger one is committed as an image alone
BLANK_BYTES = 2_000  # an image that shows something is larger

# Training amplifies rounding, so numbers differ between processors. This share of a notebook's
# numbers has to agree, within a tenth of the value or a unit of the second decimal. (With two
# threads instead of one 117 of 119 numbers of tutorial 08 and 119 of 120 of 09 do.)
AGREEING, RELATIVE, ABSOLUTE = 0.6, 0.1, 0.01

_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|Users|usr|var|mnt|opt|private)/")
_TIME = re.compile(r"\b\d+(?:\.\d+)? ?(?:s|ms|min|seconds|minutes)\b|it/s")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|\b(?:nan|inf)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_NO_WORDS = {"nan", "inf"}


def paths() -> list[Path]:
    """All tutorials, in their order."""
    return sorted(FOLDER.glob("*.ipynb"))


def fingerprint(notebook: Any) -> str:
    """SHA-256 of the code cells. Text may be edited without a new execution."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def problems(notebook: Any) -> list[str]:
    """What is wrong with an executed notebook, without executing it again."""
    found = []
    if notebook.metadata.get("executed") != fingerprint(notebook):
        found.append("its code has changed since it was executed; python -m tutorials.execute")
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            found += [f"cell {index}: {what}" for what in _output_problems(output)]
    return found


def _output_problems(output: Any) -> Iterator[str]:
    text = text_of(output)
    if output.output_type == "error":
        yield f"it failed: {output.ename}"
    if (found := _PATH.search(text)) or str(FOLDER.parent) in text:
        yield f"its output names a path of one machine: {found[0] if found else FOLDER.parent}"
    if found := _TIME.search(text):
        yield f"its output depends on the machine's speed: {found[0]}"
    data = output.get("data", {})
    if is_figure(output) and IMAGE not in data:
        yield "its figure has no image"
    if IMAGE in data:
        content = base64.b64decode(data[IMAGE])
        if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < BLANK_BYTES:
            yield "its image is no PNG, or shows nothing"
        elif FIGURE in data and struct.unpack(">II", content[16:24]) != size(data[FIGURE]):
            yield "its image has another size than its figure"


def is_figure(output: Any) -> bool:
    """Whether an output is a figure, also one of which only the image was kept."""
    data = output.get("data", {})
    return FIGURE in data or data.get("text/plain", "").startswith("Figure: ")


def size(figure: Any) -> tuple[int, int]:
    """Width and height of a figure's image in pixels."""
    layout = figure["layout"]
    return int(layout.get("width") or 760), int(layout.get("height") or 450)


def description(figure: Any) -> str:
    """A figure in words, for readers who do not see it: its titles, axes and legend."""
    layout = figure["layout"]
    axes = [name for name in sorted(layout) if re.match("[xy]axis", name)]
    parts = {
        "axes": [layout[name].get("title", {}).get("text") for name in axes],
        "panels": [note.get("text") for note in layout.get("annotations", [])],
        "traces": [trace.get("name") for trace in figure["data"]],
    }
    told = [layout.get("title", {}).get("text") or "no title"]
    for name, texts in parts.items():
        unique = dict.fromkeys(text for text in texts if text)
        told += [f"{name}: {'; '.join(unique)}"] if unique else []
    return _plain("Figure: " + ". ".join(told))


def text_of(output: Any) -> str:
    """What an output says: a stream's text, a table's cells, a figure's description."""
    data = output.get("data", {})
    if FIGURE in data:
        return description(data[FIGURE])
    if "text/html" in data:
        return _plain(re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.S))
    if output.output_type == "error":
        return "\n".join(output.traceback)
    return output.get("text") or data.get("text/plain", "")


def differences(committed: Any, fresh: Any) -> list[str]:
    """Where a notebook's outputs are not what its code makes now.

    Compared are the kinds of the outputs and the words in them, cell by cell, and the numbers of
    the whole notebook. A cell with the tag "varies" need only have outputs of the same kinds.
    """
    found, close, numbers = [], 0, 0
    for index, (old, new) in enumerate(zip(committed.cells, fresh.cells, strict=True)):
        olds, news = old.get("outputs", []), new.get("outputs", [])
        if [_kind(output) for output in olds] != [_kind(output) for output in news]:
            found.append(f"cell {index}: other kinds of outputs")
            continue
        if VARIES in old.metadata.get("tags", []):
            continue
        for before, after in zip(map(text_of, olds), map(text_of, news), strict=True):
            if changed := _words(before) ^ _words(after):
                found.append(f"cell {index}: other words: {', '.join(sorted(changed))}")
            pairs = list(zip(_numbers(before), _numbers(after), strict=False))
            close += sum(_agree(*pair) for pair in pairs)
            numbers += len(pairs)
    if close < AGREEING * numbers:
        found.append(f"only {close} of {numbers} numbers agree")
    return found


def _kind(output: Any) -> str:
    return "figure" if is_figure(output) else output.output_type


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text))).strip()


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)} - _NO_WORDS


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(text)]


def _agree(before: float, after: float) -> bool:
    same = repr(before) == repr(after)  # NaN, too
    return same or abs(before - after) <= max(RELATIVE * abs(before), ABSOLUTE)
