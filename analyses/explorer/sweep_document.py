"""The page of a sweep: the template, with style, script and data inside."""

import os
from pathlib import Path
from typing import Any

import xarray as xr

from analyses.explorer.assets import fill_template, in_script, scripts, style, subset_looks
from analyses.explorer.packing import pack
from analyses.explorer.sweep_commands import go_on
from analyses.explorer.sweep_payload import gather_sweep

# In the order in which they use each other.
SCRIPTS = ("unpack", "drawing", "open_page", "sweep", "sweep_state", "plane", "cell", "sweep_app")


def write_sweep_explorer(
    sweep: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    name: str,
    store: str | os.PathLike[str] = "STORE",
) -> dict[str, Any]:
    """Write the page of a sweep and return its size: ``{"runs": ..., "of": ..., "bytes": ...}``.

    Args:
        sweep: the dataset of ``grokinterp.sweep`` or ``open_sweep``, finished or not.
        path: the HTML file; missing folders are made, an interrupt leaves no partial file.
        name: of the sweep, for the heading.
        store: where it is stored, for the command that goes on with it.

    Raises:
        ValueError: it is not the dataset of a sweep, or it is too large for a page.
    """
    about, arrays = gather_sweep(sweep, name=name, going_on=go_on(sweep, Path(store)))
    packed = pack(arrays)
    size = fill_template(
        path,
        "sweep.html.jinja",
        about=about,
        data=in_script(about | {"manifest": packed.manifest}),
        arrays=packed.text,
        style=style("explorer", "sweep"),
        **subset_looks(),
        view=scripts(*SCRIPTS),
    )
    return {"runs": int(sweep.done.sum()), "of": int(sweep.done.size), "bytes": size}
