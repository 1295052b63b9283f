"""The decorator of all public functions of this package."""

from collections.abc import Callable

from grokinterp.arguments import Arguments, Result, checked
from grokinterp.session import unaffected


def probe(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Check arguments by their annotations, and ignore torch's session-wide settings.

    See :func:`grokinterp.arguments.checked` and :func:`grokinterp.session.unaffected`.
    """
    return checked(unaffected()(function))
