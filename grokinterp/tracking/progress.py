"""The progress bar of training, as a callback."""

from collections.abc import Mapping, Sequence
from typing import Any

from grokinterp.bars import progress_bar
from grokinterp.config import RunConfig
from grokinterp.tracking.base import Callback


class ProgressBar(Callback):
    """One bar over the steps of all runs, showing mean accuracies and the number of trained runs.

    Args:
        wanted: False hides the bar. It is always hidden outside a terminal or notebook.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self._wanted = wanted
        self._runs = self._trained = 0
        self._bar: Any = None
        self._last: dict[int, Mapping[str, float]] = {}

    def on_start(self, configs: Sequence[RunConfig]) -> None:
        """Show the bar."""
        self.show(sum(config.training.steps for config in configs), runs=len(configs))

    def show(self, steps: int, *, runs: int, trained: int = 0) -> None:
        """Show the bar for ``steps`` still to do, when ``trained`` of the runs are done already."""
        self._runs, self._trained = runs, trained
        self._bar = progress_bar(steps, unit="step", desc=self._words(), wanted=self._wanted)

    def expect(self, steps: int) -> None:
        """Add steps to the bar's total."""
        self._bar.total += steps
        self._bar.refresh()

    def on_step(self, updates: int) -> None:
        """Advance the bar, and show the accuracies evaluated since the last step."""
        self._show_accuracies()
        self._bar.update(updates)

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the accuracies, to show them at the next step."""
        self._last[run] = metrics

    def on_finish(self, run: int, config: RunConfig, summary: Mapping[str, float]) -> None:
        """Count a finished run."""
        self._trained += 1
        self._bar.set_description(self._words(), refresh=False)

    def on_end(self) -> None:
        """Close the bar, leaving it visible with the accuracies evaluated last."""
        self._show_accuracies()
        self._bar.close()

    def _words(self) -> str:
        if self._runs == 1 and not self._trained:
            return "training"
        return f"{self._trained}/{self._runs} runs trained"

    def _show_accuracies(self) -> None:
        if not self._last:
            return
        means = {
            name: sum(row[f"{name}_accuracy"] for row in self._last.values()) / len(self._last)
            for name in ("train", "test")
        }
        shown = {name: f"{mean:.3f}" for name, mean in means.items()}
        self._bar.set_postfix(shown, refresh=False)
        self._last = {}
