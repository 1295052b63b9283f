"""The explorer's page: the template, with style, scripts and data inside."""

import os
from typing import Any

from analyses.explorer.assets import fill_template, in_script, scripts, style, subset_looks
from analyses.explorer.packing import pack
from analyses.explorer.payload import gather
from grokinterp import Run

# In the order in which they use each other. The engine runs in the page and in its workers.
ENGINE = ("activations", "recorded", "network", "engine", "worker")
VIEW = (
    *("unpack", "fourier", "state", "drawing", "open_page", "pool", "stored", "curves", "answers"),
    *("scatter", "unit", "pair", "circles", "attention", "panels", "controls", "explorer", "app"),
)

ANSWERS = {
    "right": "right",
    "memorised": "a wrong label, memorised",
    "corrected": "the rule, in spite of a wrong label",
    "wrong": "wrong",
}


def write_explorer(
    run: Run, path: str | os.PathLike[str], *, name: str, progress: bool = False
) -> dict[str, Any]:
    """Write the page and return its size: ``{"networks": ..., "bytes": ...}``.

    Removals of units that do not run in the page take a forward pass each: a quarter of a minute
    for an MLP of the paper's size, over ten minutes for the second paper's LSTM with its gates.

    Args:
        run: a run of any network that lists its units; also one of :func:`grokinterp.as_run`.
        path: the HTML file; missing folders are made, an interrupt leaves no partial file.
        name: of the run, for the heading.
        progress: show a progress bar.

    Raises:
        ValueError: no units, too large a network, or no network is stored.
    """
    payload = gather(run, name=name, progress=progress)
    packed = pack(payload.arrays, over_steps=payload.over_steps)
    size = fill_template(
        path,
        "explorer.html.jinja",
        about=payload.about,
        data=in_script(payload.about | {"manifest": packed.manifest}),
        arrays=packed.text,
        style=style("explorer"),
        **subset_looks(),
        answer_words=ANSWERS,
        engine=scripts(*ENGINE),
        view=scripts(*VIEW),
    )
    return {"networks": len(payload.about["steps"]), "bytes": size}
