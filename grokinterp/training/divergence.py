"""The warning that a run diverged."""

from grokinterp.checks import warn_user
from grokinterp.runs import Run


class DivergenceWarning(UserWarning):
    """A run's loss became NaN or infinite. The run was stopped; its history until then is kept.

    Examples:
        >>> import warnings
        >>> import grokinterp as gi
        >>> config = gi.RunConfig().replace({"data.p": 11, "training.lr": 1e9})
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", gi.DivergenceWarning)
        ...     run = gi.train(config)
        >>> run.ended, run.diverged_at < 100
        (False, True)
    """


def warn_of_divergence(number: int, run: Run) -> None:
    """Warn if a run diverged; the message names it by ``number``."""
    if run.diverged_at is None:
        return
    steps = run.history["step"].values
    warn_user(
        f"run {number}: the loss is NaN or infinite after {run.diverged_at} steps; "
        "training of this run stopped and its history up to step "
        f"{steps[-1] if len(steps) else 'none'} is kept. "
        f"A smaller training.lr (now {run.config.training.lr}) usually helps",
        DivergenceWarning,
    )
