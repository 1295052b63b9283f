"""The warning that many training examples have lost their gradient."""

from grokinterp.checks import warn_user
from grokinterp.runs import Run

SHARE = 0.5  # share of the training examples from which on we warn

REMEDY = (
    "Such examples no longer raise the logit of their label (softmax collapse). More "
    "training.weight_decay, a smaller training.lr, precision='float64' or, for cross-entropy, "
    "training.loss='cross_entropy_float64' keeps losses above 0"
)


class ZeroLossWarning(UserWarning):
    """Many training examples have a loss of exactly 0 in the training's precision.

    The label's probability rounds to 1, so the gradient no longer raises its logit.

    Source: Prieto et al. 2025, "Grokking at the Edge of Numerical Stability", arXiv:2501.04697.

    Examples:
        >>> import warnings
        >>> import grokinterp as gi
        >>> large = {"training.loss": "cross_entropy", "training.lr": 1.0, "training.steps": 50}
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", gi.ZeroLossWarning)
        ...     run = gi.train(gi.RunConfig().replace({"data.p": 11, **large}))
        >>> bool(run.history.zero_loss_share.max() > 0.5)
        True
    """


def warn_of_zero_loss(number: int, run: Run) -> None:
    """Warn if many losses of a run became exactly 0; the message names it by ``number``."""
    share = run.history["zero_loss_share"]
    vanished = share.values >= SHARE
    if not vanished.any():
        return
    row = vanished.argmax()
    warn_user(
        f"run {number}: after {share.step.values[row]} steps the loss of "
        f"{share.values[row]:.0%} of the training examples is exactly 0 at "
        f"precision={run.provenance['precision']!r}; the history has zero_loss_share. {REMEDY}",
        ZeroLossWarning,
    )
