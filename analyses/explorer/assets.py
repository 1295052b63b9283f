"""What a page is made of: the files in ``page/``, and texts that can stand in its HTML."""

import json
import os
import re
from importlib.resources import files
from typing import Any

from analyses.explorer.words import DISJOINT
from grokinterp.files import replacing


def fill_template(path: str | os.PathLike[str], template: str, **values: Any) -> int:
    """Fill a template of ``page/``, write it and return its size in bytes.

    Args:
        path: the HTML file; missing folders are made, an interrupt leaves no partial file.
        template: name of the template.
        values: by their names in it; texts are escaped, but for those of :func:`style`,
            :func:`scripts` and :func:`in_script`.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    page = environment.from_string(_read(template)).render(**values)
    with replacing(path) as file:
        file.write_text(page, encoding="utf-8")
    return len(page.encode("utf-8"))


def style(*names: str) -> Any:
    """Style sheets as one."""
    return _markup("\n".join(_read(f"{name}.css") for name in names))


def scripts(*names: str) -> Any:
    """Modules as one script: without their imports, as all names are then in one scope."""
    source = "\n".join(_read(f"{name}.js") for name in names)
    source = re.sub(r"^import .*?;\n", "", source, flags=re.MULTILINE | re.DOTALL)
    return _markup(re.sub(r"^export ", "", source, flags=re.MULTILINE))


def in_script(value: Any) -> Any:
    """JSON that cannot end the script element that it is in."""
    return _markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))


def subset_looks() -> dict[str, dict[str, str]]:
    """Colours and words of the subsets, as the templates name them."""
    from analyses.pages.palette import SUBSET_LABEL, SUBSET_STYLE

    return {
        "colours": {subset: SUBSET_STYLE[subset]["color"] for subset in DISJOINT},
        "subset_words": {subset: SUBSET_LABEL[subset] for subset in DISJOINT},
    }


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


def _read(name: str) -> str:
    return files("analyses.explorer").joinpath("page", name).read_text(encoding="utf-8")
