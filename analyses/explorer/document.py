"""The explorer's page: the template, with style, scripts and data inside."""

import json
import os
import re
from importlib.resources import files
from typing import Any

from analyses.explorer.packing import pack
from analyses.explorer.payload import DISJOINT, gather
from grokinterp import Run
from grokinterp.files import replacing

# In the order in which they use each other. The engine runs in the page and in its workers.
ENGINE = ("activations", "network", "engine", "worker")
VIEW = (
    *("unpack", "fourier", "state", "drawing", "pool", "stored"),
    *("curves", "scatter", "unit", "pair", "controls", "app"),
)

ANSWERS = {
    "right": "right",
    "memorised": "a wrong label, memorised",
    "corrected": "the rule, in spite of a wrong label",
    "wrong": "wrong",
}


def write_explorer(run: Run, path: str | os.PathLike[str], *, name: str) -> dict[str, Any]:
    """Write the page and return its size: ``{"networks": ..., "bytes": ...}``.

    Args:
        run: a run of an MLP.
        path: the HTML file; missing folders are made, an interrupt leaves no partial file.
        name: of the run, for the heading.

    Raises:
        ValueError: another architecture, or no network is stored.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from analyses.pages.palette import SUBSET_LABEL, SUBSET_STYLE

    payload = gather(run, name=name)
    packed = pack(payload.arrays, over_steps=payload.over_steps)
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(_read("explorer.html.jinja"))
    page = template.render(
        about=payload.about,
        data=Markup(_in_script(payload.about | {"manifest": packed.manifest})),
        arrays=Markup(packed.text),
        style=Markup(_read("explorer.css")),
        colours={subset: SUBSET_STYLE[subset]["color"] for subset in DISJOINT},
        subset_words={subset: SUBSET_LABEL[subset] for subset in DISJOINT},
        answer_words=ANSWERS,
        engine=Markup(_scripts(ENGINE)),
        view=Markup(_scripts(VIEW)),
    )
    with replacing(path) as file:
        file.write_text(page, encoding="utf-8")
    return {"networks": len(payload.about["steps"]), "bytes": len(page.encode("utf-8"))}


def _read(name: str) -> str:
    return files("analyses.explorer").joinpath("page", name).read_text(encoding="utf-8")


def _scripts(names: tuple[str, ...]) -> str:
    """Modules as one script: without their imports, as all names are then in one scope."""
    source = "\n".join(_read(f"{name}.js") for name in names)
    source = re.sub(r"^import .*?;\n", "", source, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^export ", "", source, flags=re.MULTILINE)


def _in_script(value: Any) -> str:
    """JSON that cannot end the script element that it is in."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
