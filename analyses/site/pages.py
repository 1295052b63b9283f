"""The menu of the site, and the pages that are made."""

import os.path
import re
from functools import partial
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

from analyses.site import hook_tables, live, papers, reference
from analyses.site.content import Content
from analyses.site.notebooks import FOLDER, notebooks

_PAPERS = {"Results": "results.md", "Ledger": "ledger.md"}
_HOW_TO = {  # in the order of the menu
    "Five things in eight lines": "five_in_eight_lines",
    "Which neurons memorise?": "which_neurons_memorise",
    "Switch neurons off": "switch_neurons_off",
    "My own network": "my_own_network",
    "Other people's checkpoints": "checkpoints_of_others",
    "Several seeds at once": "several_seeds",
    "Fourier features?": "fourier_features",
    "A phase diagram for my paper": "phase_diagram",
    "On a cluster": "cluster",
    "My run was interrupted": "interrupted",
    "Figures for a paper": "figures_for_a_paper",
    "An experiment of a paper": "experiments",
    "From a shell": "from_a_shell",
}
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)#\s]+)")


def contents(root: Path) -> list[Any]:
    """The menu, as MkDocs takes it."""
    tutorials = [{one.title: f"{FOLDER}/{one.name}.md"} for one in notebooks(root)]
    listed = [
        {package: [{title: reference.address_of(package, title)} for title in titles]}
        for package, titles in reference.pages().items()
    ]
    written = [
        {"What there is": "what_there_is.md"},
        {"The explorer": "explorer.md"},
        {"TransformerLens": "transformer_lens.md"},
        {"Hooks and shapes": "hooks.md"},
    ]
    return [
        {"Start": "index.md"},
        {"Tutorials": tutorials},
        {"How to": [{title: f"how_to/{name}.md"} for title, name in _HOW_TO.items()]},
        {"Reference": [*written, *listed]},
        {"Papers": [*papers.nav(), *({title: address} for title, address in _PAPERS.items())]},
        {"Performance": "performance.md"},
        {"Contributing": "contributing.md"},
    ]


def made(root: Path) -> dict[str, Content]:
    """Address -> what makes the content, of everything on the site that is no file in ``docs/``."""
    found: dict[str, Content] = {"live.html": live.explorer, "hooks.md": hook_tables.markdown}
    found |= papers.made()
    for package, titles in reference.pages().items():
        for title, text in titles.items():
            found[reference.address_of(package, title)] = partial(str, text)
    for notebook in notebooks(root):
        found[f"{FOLDER}/{notebook.name}.md"] = partial(str, notebook.markdown)
        for name, content in notebook.pictures.items():
            found[f"{FOLDER}/{name}"] = partial(bytes, content)
    return found


def relinked(markdown: str, address: str) -> str:
    """Links between files of the repository as links between pages of the site.

    Args:
        markdown: of a page.
        address: of the page on the site, such as "tutorials/02_hooks.md".
    """
    return _LINK.sub(lambda found: _on_site(found[1], address), markdown)


def _on_site(link: str, address: str) -> str:
    is_tutorial = address.startswith(f"{FOLDER}/")
    file = address.removesuffix(".md") + ".ipynb" if is_tutorial else join("docs", address)
    target = normpath(join(dirname(file), link))
    if target == "README.md":
        place = "index.md"
    elif target.startswith(f"{FOLDER}/") and target.endswith(".ipynb"):
        place = target.removesuffix(".ipynb") + ".md"
    elif target.startswith("docs/"):
        place = target.removeprefix("docs/")
    else:
        return link
    return relpath(place, dirname(address) or os.path.curdir)
