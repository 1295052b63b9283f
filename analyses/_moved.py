"""Old module paths: importing or running one raises an error that says what to use instead."""

import sys
from collections.abc import Mapping

_MOVED = {
    "analyses.collect": "grokinterp.sweeps.collect",
    "analyses.estimate": "grokinterp.sweeps.estimate",
    "analyses.script": "analyses.pages.finding",
    "analyses.hypothesis_evidence": "analyses.hypothesis.evidence",
    "analyses.hypothesis_filter": "analyses.hypothesis.filter",
    "analyses.hypothesis_plot": "analyses.hypothesis.figures",
    "analyses.hypothesis_verdict": "analyses.hypothesis.verdict",
    "analyses.efficiency.circuits.halves": "analyses.efficiency.halves",
    "analyses.efficiency.circuits.halves_plot": "analyses.efficiency.halves.figures",
    "analyses.efficiency.circuits.scores": "analyses.efficiency.circuits.label_scores",
    "analyses.efficiency.command": "analyses.options and analyses.pages.finding",
    "analyses.efficiency.cost": "analyses.efficiency.model_efficiency and "
    "analyses.efficiency.training_efficiency",
    "analyses.efficiency.cost.model_efficiency": "analyses.efficiency.model_efficiency",
    "analyses.efficiency.cost.training_efficiency": "analyses.efficiency.training_efficiency",
    "analyses.efficiency.data_efficiency_plot": "analyses.efficiency.data_efficiency.figures",
    "analyses.efficiency.data_efficiency_settings": "analyses.efficiency.data_efficiency.grids",
    "analyses.efficiency.mixing.mixture_plot": "analyses.efficiency.mixing.figures",
    "analyses.efficiency.mixing.mixture_runs": "analyses.efficiency.mixing.runs",
    "analyses.efficiency.mixing.mixture_variants": "analyses.efficiency.mixing.variants",
    "analyses.efficiency.mixing.surface": "analyses.efficiency.mixing.loss_surface",
    "analyses.efficiency.statistics": "analyses.statistics",
    "analyses.efficiency.statistics.coverage": "analyses.statistics.coverage",
    "analyses.efficiency.ungrokking_place": "analyses.efficiency.ungrokking.place",
    "analyses.efficiency.ungrokking_plot": "analyses.efficiency.ungrokking.figures",
}
# Modules that were commands, and the names of their experiments. Analyses kept their names.
_EXPERIMENTS = {
    "analyses.architectures": "architectures",
    "analyses.efficiency.circuits.halves": "halves",
    "analyses.efficiency.cost.model_efficiency": "model_efficiency",
    "analyses.efficiency.cost.training_efficiency": "training_efficiency",
    "analyses.efficiency.d_crit": "d_crit",
    "analyses.efficiency.data_efficiency": "data_efficiency",
    "analyses.efficiency.grokking_across": "grokking_across",
    "analyses.efficiency.mixing.mixture_runs": "mixture",
    "analyses.efficiency.semi_grokking": "semi_grokking",
    "analyses.efficiency.statistics.coverage": "coverage",
    "analyses.efficiency.ungrokking": "ungrokking",
}


class OldPaths:
    """An import hook that finds no module, but raises a helpful error for old ones.

    Args:
        moved: the present path of the module that was ``analyses.NAME``, by NAME.
    """

    def __init__(self, moved: Mapping[str, str]) -> None:
        self.moved = _MOVED | {f"analyses.{name}": new for name, new in moved.items()}

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Raise ModuleNotFoundError for a module that has moved or is no longer a command."""
        own = fullname.startswith(("analyses.cli", "analyses.registry"))  # of the hint itself
        if own or not fullname.startswith("analyses."):
            return
        asked = _asked_to_run()
        if asked == fullname or asked.startswith(f"{fullname}."):
            if (words := self._instead(asked)) is not None:
                raise ModuleNotFoundError(words, name=fullname)
        elif fullname in self.moved:
            # Without name=, because "from analyses import ..." hides errors that have one.
            raise ModuleNotFoundError(self._instead(fullname))

    def _instead(self, module: str) -> str | None:
        """What to import, and what to type in a shell; None for a path that still exists."""
        new, typed = self.moved.get(module), self._typed(module)
        command = typed and f"on the command line: {typed}"
        if new:
            return "; ".join(filter(None, (f"{module} moved to {new}", command)))
        return typed and f"{module} is no longer a command; {command}"

    def _typed(self, module: str) -> str | None:
        from analyses.registry import ANALYSES, EXPERIMENTS

        here = {module, self.moved.get(module)}
        for name, entry in EXPERIMENTS.items():
            if entry.module in here or _EXPERIMENTS.get(module) == name:
                return f"grokinterp run {name} OUT"
        for name, entry in ANALYSES.items():
            if entry.module in here or module == f"analyses.{name}":
                return f"grokinterp analyse RUN {name}"
        return None


def _asked_to_run() -> str:
    """The module of ``python -m module`` while Python searches for it; otherwise ""."""
    if sys.argv[:1] != ["-m"]:  # as it is during that search
        return ""
    for word, following in zip(sys.orig_argv, [*sys.orig_argv[1:], ""], strict=True):
        if word.startswith("-m"):
            return word[2:] or following
    return ""
