"""Docstrings as mkdocstrings shows them.

Sphinx roles become links. A field's comment in its own line becomes its entry under "Attributes".
"Returns" is prose here, often with a list in it, which the parser of Google's style takes for names
of values; so it is handed on as text.
"""

import io
import re
import textwrap
import tokenize
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc):`(~?)([\w.]+)`")
_PROSE = re.compile(r"^(Returns|Yields):\n((?:(?: {4}.*)?\n)*(?: {4}.*)?)", re.MULTILINE)
_FACTORY = re.compile(r"^field\(default_factory=([\w.]+)\)$")
_NOTE = re.compile(r"^(Source|Convention): ", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrites every docstring once the modules of a package are known."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is None:
            return
        text = obj.docstring.value
        if isinstance(obj, griffe.Class) and "\nAttributes:\n" not in text:
            before, examples, after = text.partition("\n\nExamples:\n")
            text = before + fields(obj) + examples + after
        text = _ROLE.sub(lambda found: _link(obj, found), text)
        text = _PROSE.sub(_section, text)
        obj.docstring.value = _NOTE.sub(r"\n**\1:** ", text)


def fields(cls: griffe.Class) -> str:
    """A section "Attributes" from the comments beside a class's fields, "" if there are none."""
    said: dict[str, str] = {}
    for name, field in cls.attributes.items():
        is_field = field.annotation is not None and "property" not in field.labels
        if name.startswith("_") or not is_field:
            continue
        parts = [comment_of(field.source)]
        if field.value is not None:
            value = _FACTORY.sub(r"\1()", str(field.value))
            parts.append(f"(default: `{value}`)" if not value.startswith("field(") else "")
        said[name] = " ".join(filter(None, parts))
    lines = [f"    {name}: {words}" for name, words in said.items() if words]
    return "\n".join(["", "", "Attributes:", *lines]) if lines else ""


def comment_of(source: str) -> str:
    """The comments of an assignment as one line, "" if there are none."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(textwrap.dedent(source)).readline))
    except (SyntaxError, tokenize.TokenError):
        return ""
    found = [token.string for token in tokens if token.type == tokenize.COMMENT]
    said = " ".join(comment.lstrip("# ").strip() for comment in found)
    return "" if said.startswith(("noqa", "type:", "pyright:")) else said


def _section(found: re.Match[str]) -> str:
    title = f'<span class="doc-section-title">{found[1]}:</span>'
    return f"{title}\n\n{textwrap.dedent(found[2])}"


def _link(obj: griffe.Object, found: re.Match[str]) -> str:
    name = found[2]
    shown = name.rpartition(".")[2] if found[1] else name
    return f'<autoref optional identifier="{_full(obj, name)}"><code>{shown}</code></autoref>'


def _full(obj: griffe.Object, name: str) -> str:
    """The path of what a name means where it is written."""
    try:
        return obj.resolve(name)
    except griffe.NameResolutionError:
        return name
