"""A callback that forwards all calls to several others."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

from grokinterp.config import RunConfig
from grokinterp.short_text import short
from grokinterp.tracking.base import Callback


class Dispatch(Callback):
    """Forwards calls to the user's ``callbacks`` and then to the package's ``own``.

    A context manager: entering calls every ``on_start``; leaving, also by an error, calls
    ``on_end`` of every callback that was started.
    """

    def __init__(
        self, callbacks: Sequence[Callback], configs: Sequence[RunConfig], *own: Callback
    ) -> None:
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be a list of callbacks, got {short(callbacks)}")
        self.callbacks, self.configs = [*callbacks, *own], configs
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(
                    "callbacks must be instances of grokinterp.tracking.Callback, got "
                    f"{short(callback)}"
                )
        self._endings = ExitStack()

    def __enter__(self) -> "Dispatch":
        with self._endings:  # if one fails to start, the earlier ones are ended
            for callback in self.callbacks:
                callback.on_start(self.configs)
                self._endings.callback(callback.on_end)
            self._endings = self._endings.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._endings.close()

    def on_step(self, updates: int) -> None:
        """Forward a step."""
        for callback in self.callbacks:
            callback.on_step(updates)

    def on_evaluation(self, run: int, step: int, metrics: Mapping[str, float]) -> None:
        """Forward an evaluation."""
        for callback in self.callbacks:
            callback.on_evaluation(run, step, metrics)

    def on_finish(self, run: int, config: RunConfig, summary: Mapping[str, float]) -> None:
        """Forward a finished run."""
        for callback in self.callbacks:
            callback.on_finish(run, config, summary)
