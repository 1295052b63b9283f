"""Questions of the papers, a folder a family: ``compute`` gives labelled data, ``plot_*`` a figure.

``from analyses import phases`` finds a module without its folder. Importing the package loads none.
"""

import importlib
from types import ModuleType

_ROOMS = {
    "hypothesis": "architectures",
    "one_run": """
        corrupted_logits grokking ipr_histogram logit_split norm_curves norm_gain phases
        pruning row_ipr summary training_curves weight_norms
    """,
    "pages": "labels page report script style",
    "phase_diagrams": """
        diagram_page measures panels phase_diagram presets refine sweep_job sweep_phases
    """,
    "statistics": "wilson",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> ModuleType:
    if name in _ROOM_OF:
        return importlib.import_module(f"analyses.{_ROOM_OF[name]}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOM_OF})
