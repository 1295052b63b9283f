"""Executed notebooks as Markdown: text, code, and what came out, with static pictures."""

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grokinterp.short_text import short_repr

FOLDER = "tutorials"
_TABLE = re.compile(r"<table[^>]*class=\"dataframe.*?</table>", re.DOTALL)  # of pandas
# A picture is enough of a figure that is also interactive; text is enough of a progress bar.
_PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}
_FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`]*`)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+?)\$", re.DOTALL
)
_CONTROLS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@short_repr
@dataclass(frozen=True, kw_only=True)
class Notebook:
    """A notebook as a page."""

    name: str  # of the file, without ".ipynb"
    title: str  # its first heading
    markdown: str
    pictures: dict[str, bytes]  # name of the file -> content


def notebooks(root: Path) -> list[Notebook]:
    """The tutorials in a repository, in order."""
    return [convert(path) for path in sorted((root / FOLDER).glob("*.ipynb"))]


def convert(path: Path) -> Notebook:
    """A notebook as a page. Nothing is executed.

    Raises:
        ValueError: its first cell has no heading.
    """
    import nbformat

    cells = nbformat.read(path, as_version=4).cells
    pictures: dict[str, bytes] = {}
    parts: list[str] = []
    for cell in cells:
        if cell.cell_type != "code":
            parts.append(with_formulas(cell.source))
            continue
        if cell.source.strip():
            parts.append(fenced(cell.source, "python"))
        for output in cell.outputs:
            parts += _shown(output, path.stem, pictures)
    heading = re.match(r"# (.+)", parts[0]) if parts else None
    if heading is None:
        raise ValueError(f"{path} has no heading in its first cell; begin it with '# Title'")
    text = "\n\n".join(parts) + "\n"
    return Notebook(name=path.stem, title=heading[1], markdown=text, pictures=pictures)


def _shown(output: Any, name: str, pictures: dict[str, bytes]) -> list[str]:
    """One output: its picture, or else its text."""
    if output.output_type == "stream":
        return [fenced(plain(output.text), "text")] if output.name == "stdout" else []
    if output.output_type == "error":
        return [fenced(f"{output.ename}: {output.evalue}", "text")]
    for kind, ending in _PICTURES.items():
        if kind in output.data:
            file = f"{name}-{len(pictures) + 1:02d}.{ending}"
            content = output.data[kind]
            is_text = ending == "svg"
            pictures[file] = content.encode() if is_text else base64.b64decode(content)
            return [f"![Figure {len(pictures)}]({file})"]
    if table := _TABLE.search(output.data.get("text/html", "")):
        return [f'<div class="frame">\n{table[0]}\n</div>']
    text = plain(output.data.get("text/plain", ""))
    is_widget = any("widget" in kind or "plotly" in kind for kind in output.data)
    return [] if is_widget or not text else [fenced(text, "text")]


def with_formulas(text: str) -> str:
    """Markdown with its LaTeX as MathML, which browsers set without a script; code stays."""
    from latex2mathml.converter import convert as mathml

    def shown(found: re.Match[str]) -> str:
        if found["code"]:
            return found["code"]
        is_block = found["block"] is not None
        latex = found["block"] if is_block else found["inline"]
        formula = mathml(latex.strip(), display="block" if is_block else "inline")
        # A line that begins with <math> would be a paragraph of its own.
        return formula if is_block else f"<span>{formula}</span>"

    return _FORMULA.sub(shown, text)


def plain(text: str) -> str:
    """Text without colours and without what a carriage return has overwritten."""
    lines = _CONTROLS.sub("", text).rstrip().split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def fenced(text: str, language: str) -> str:
    """A code block, with a fence that does not occur in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
