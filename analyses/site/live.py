"""The explorer on the start page: a small network, trained while the site is built.

p 31 and 256 neurons keep it to two seconds of one core and 1 MB with nine networks on the way;
the page loads it after everything else. It is the quadratic MLP of the page on results, which does
both, knows the rule and the wrong labels, for every seed that was tried.
"""

import tempfile
from functools import cache
from pathlib import Path

STEPS = (10, 30, 60, 100, 150, 200, 300, 500, 750)  # of the networks on the way


@cache  # the page is made once for all builds of `mkdocs serve`
def explorer() -> bytes:
    """The page of ``grokinterp explore``."""
    import grokinterp as gi
    from analyses.dissociation.runs import SETTINGS
    from analyses.explorer import write_explorer
    from analyses.one_run.stored_networks import checkpoints_at

    config = SETTINGS["quadratic MLP"]
    run = gi.train(config, progress=False, device="cpu", checkpoints=checkpoints_at(STEPS))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "explorer.html"
        write_explorer(run, page, name="a + b mod 31")
        return page.read_bytes()
