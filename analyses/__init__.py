"""The papers' questions, in a folder per family: ``compute`` returns data, ``plot_*`` a figure.

``from analyses import phases`` finds a module without naming its folder. Importing the package
itself imports no analysis.
"""

import importlib
import sys
from types import ModuleType

from analyses._moved import OldPaths

_ROOMS = {
    "hypothesis": "architectures",
    "one_run": """
        attention corrupted_logits embedding_planes embedding_spectrum frequency_winners
        grokking ipr_histogram logit_split norm_curves norm_gain phases progress_measures
        pruning row_ipr solution_form spectral_surgery stored_networks summary
        training_curves units_by_frequency weight_norms
    """,
    "pages": "finding labels page report style",
    "phase_diagrams": """
        diagram_page measures panels phase_diagram presets refine sweep_job sweep_phases
    """,
    "statistics": "wilson",
}
_MODULES = {
    name: f"analyses.{room}.{name}" for room, names in _ROOMS.items() for name in names.split()
}
sys.meta_path.insert(0, OldPaths(_MODULES))


def __getattr__(name: str) -> ModuleType:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
