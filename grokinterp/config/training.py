"""The training part of a run's configuration."""

import math
from dataclasses import replace

from grokinterp.checks import check_choice, check_int, check_number, check_text
from grokinterp.frozen import frozen_config
from grokinterp.limits import MAX_ROWS, MAX_STEPS
from grokinterp.losses import LOSSES
from grokinterp.short_text import short

# Optimiser -> the kinds of weight decay it supports; the first is the default.
OPTIMIZERS = {
    "adamw": ("decoupled_zero", "decoupled_init", "jiggle"),
    "adam": ("l2",),
    "sgd": ("l2", "decoupled_zero", "decoupled_init", "jiggle"),
}
_ROWS_PER_DECADE = 20


@frozen_config
class TrainConfig:
    """Optimiser, loss and noise. Defaults: Doshi et al. 2023, arXiv:2310.13061, appendix A.

    Weight decay acts on every weight, with lambda = ``weight_decay`` and eta = the learning rate:
    "decoupled_zero" multiplies the weights by 1 - eta lambda before each update (as in AdamW);
    "decoupled_init" adds eta lambda (w0 - w), pulling them towards their initial values w0;
    "jiggle" multiplies each weight tensor by exp(eta lambda z) with one z ~ N(0, 1) per tensor and
    update, which keeps the scale of the weights on average; "l2" adds lambda / 2 |w|^2 to the loss,
    so lambda w to the gradient. Reported losses never include this term.

    Examples:
        >>> import grokinterp as gi
        >>> training = gi.TrainConfig(steps=1000, weight_decay=5.0, eval_every="log")
        >>> training.decay_kind, len(training.evaluated_steps)
        ('decoupled_zero', 51)
    """

    steps: int = 2000  # updates
    lr: float = 1e-2
    warmup_steps: int = 0  # the rate of update t = 0, 1, ... is lr * min(1, t / warmup_steps)
    batch_size: int | None = None  # None, or more than there are: all training pairs
    optimizer: str = "adamw"  # adamw, adam or sgd
    weight_decay: float = 0.0
    # decoupled_zero, decoupled_init, jiggle or l2; None: the optimiser's default
    decay: str | None = None
    momentum: float = 0.0  # only for sgd
    betas: tuple[float, float] = (0.9, 0.98)  # only for adam and adamw
    eps: float = 1e-8
    # "mse": against one-hot labels, averaged over examples and classes; "cross_entropy"; or
    # "mse_softmax": "mse" of the softmax probabilities (second paper, with its sign corrected);
    # "cross_entropy_float64": computed in float64 also in a float32 run, as Nanda et al. 2023 do
    loss: str = "mse"
    # Steps between rows of the history, or "log" for about 20 rows per decade of steps. Step 0 and
    # the last step always have a row.
    eval_every: int | str = 10
    # Noise that regularises. It is drawn from the run's seed and absent in evaluation.
    dropout: float = 0.0  # probability of dropping an activation, per example and step
    # Where dropout acts; several places are joined by "+". "pre" is before an MLP's activation (as
    # in the authors' code), "post" after it; see ``dropout_places`` of each architecture.
    dropout_at: str = "pre"
    weight_noise: float = 0.0  # std of noise on all weights, redrawn at every training forward pass
    update_noise: float = 0.0  # std of noise added to the update, before the learning rate

    def __post_init__(self) -> None:
        check_int("steps", self.steps, minimum=1, maximum=MAX_STEPS)
        if isinstance(self.eval_every, str):
            if self.eval_every != "log":
                given = short(self.eval_every)
                raise ValueError(f"eval_every={given} is unknown; give a number of steps or 'log'")
        else:
            check_int("eval_every", self.eval_every, minimum=1)
            if self.steps > MAX_ROWS * self.eval_every:
                raise ValueError(
                    f"eval_every={self.eval_every} gives more than {MAX_ROWS} rows of history for "
                    f"steps={self.steps}; make it larger, or 'log'"
                )
        check_number("lr", self.lr, minimum=0.0, strict=True)
        check_number("weight_decay", self.weight_decay, minimum=0.0)
        check_number("eps", self.eps, minimum=0.0, strict=True)
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise ValueError(f"betas must be a pair of numbers in [0, 1), got {short(self.betas)}")
        for beta in self.betas:
            check_number("betas", beta, minimum=0.0, below=1.0)
        check_choice("loss", self.loss, LOSSES)
        check_int("warmup_steps", self.warmup_steps, minimum=0)
        if self.batch_size is not None:
            check_int("batch_size", self.batch_size, minimum=1)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        if self.decay is not None:
            with_it = f"decay with optimizer={self.optimizer!r}"
            check_choice(with_it, self.decay, OPTIMIZERS[self.optimizer])
        check_number("momentum", self.momentum, minimum=0.0, below=1.0)
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(
                f"momentum={self.momentum} needs optimizer='sgd', got {self.optimizer!r}; set "
                "betas[0] instead"
            )
        check_number("dropout", self.dropout, minimum=0.0, below=1.0)
        check_text("dropout_at", self.dropout_at, example="pre")
        check_number("weight_noise", self.weight_noise, minimum=0.0)
        check_number("update_noise", self.update_noise, minimum=0.0)

    @property
    def decay_kind(self) -> str:
        """The kind of weight decay: ``decay``, or the optimiser's default if that is None."""
        return self.decay or OPTIMIZERS[self.optimizer][0]

    def at_batch_size(self, batch_size: int, *, reference: int = 256) -> "TrainConfig":
        """The same training with another batch size, scaled so that batch sizes can be compared.

        The learning rate is multiplied by sqrt(batch_size / reference). ``steps`` and
        ``eval_every`` are multiplied by reference / batch_size, so as many examples are seen.

        Source: Doshi et al. 2023, arXiv:2310.13061, appendix A.

        Examples:
            >>> import grokinterp as gi
            >>> training = gi.TrainConfig(steps=1000, lr=1e-2).at_batch_size(64)
            >>> training.batch_size, training.lr, training.steps
            (64, 0.005, 4000)
        """
        check_int("batch_size", batch_size, minimum=1)
        check_int("reference", reference, minimum=1)
        longer = reference / batch_size
        every = self.eval_every
        return replace(
            self,
            batch_size=batch_size,
            lr=self.lr * longer**-0.5,
            steps=max(1, round(self.steps * longer)),
            eval_every=max(1, round(every * longer)) if isinstance(every, int) else every,
        )

    @property
    def evaluated_steps(self) -> tuple[int, ...]:
        """Numbers of updates after which the history has a row, in increasing order."""
        if isinstance(self.eval_every, int):
            return (*range(0, self.steps, self.eval_every), self.steps)
        n = math.ceil(_ROWS_PER_DECADE * math.log10(self.steps))
        spaced = {round(10 ** (i / _ROWS_PER_DECADE)) for i in range(n)}
        return tuple(sorted({0, self.steps, *(step for step in spaced if step < self.steps)}))
