"""Progress bars: shown in a terminal or notebook, and never written to a log file."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

_Item = TypeVar("_Item")


def progress_bar(
    total: int, *, unit: str, desc: str, wanted: bool, leave: bool = True
) -> "tqdm[Any]":
    """A bar of ``total`` units; hidden unless ``wanted`` and in a terminal or notebook."""
    from tqdm.auto import tqdm

    shown = wanted and total > 0 and _is_watched()
    return tqdm(total=total, unit=unit, desc=desc, leave=leave, disable=not shown)


def each(items: Sequence[_Item], what: str, *, wanted: bool) -> Iterator[_Item]:
    """Yield the items, with a progress bar that disappears at the end."""
    bar = progress_bar(len(items), unit="", desc=what, wanted=wanted, leave=False)
    with bar:
        for item in items:
            yield item
            bar.update()


def _is_watched() -> bool:
    """Whether stderr is a terminal, or this is a notebook, where tqdm draws a widget."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config
