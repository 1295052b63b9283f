"""How one run is optimised."""

import math
from dataclasses import dataclass

from grokinterp._checks import check_choice, check_int, check_number, plain_numbers
from grokinterp.training.losses import LOSSES

DROPOUT_PLACES = ("pre", "post")
_ROWS_PER_DECADE = 20


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Full-batch AdamW; the defaults are the first paper's (Doshi et al. 2023, appendix A)."""

    steps: int = 2000  # full-batch updates
    lr: float = 1e-2
    weight_decay: float = 0.0  # decoupled: each step multiplies all weights by 1 - lr * this
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    loss: str = "mse"  # "mse" against one-hot labels, mean over classes too; or "cross_entropy"
    # Steps between rows of the history, or "log": about 20 rows per decade of steps. Step 0 and the
    # last step always have a row.
    eval_every: int | str = 10
    # Regularisation by noise, drawn from the run's seed and absent from evaluation.
    dropout: float = 0.0  # probability that a neuron is dropped for an example at a step
    dropout_at: str = "pre"  # before the activation, as in the authors' code, or "post"
    weight_noise: float = 0.0  # std of noise on all weights, fresh at every training forward
    update_noise: float = 0.0  # std of noise on Adam's direction, before the learning rate

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_int("steps", self.steps, minimum=1)
        if isinstance(self.eval_every, str):
            if self.eval_every != "log":
                raise ValueError(
                    f"eval_every={self.eval_every!r} is unknown; give a number of steps or 'log'"
                )
        else:
            check_int("eval_every", self.eval_every, minimum=1)
        check_number("lr", self.lr, minimum=0.0, strict=True)
        check_number("weight_decay", self.weight_decay, minimum=0.0)
        check_number("eps", self.eps, minimum=0.0, strict=True)
        if isinstance(self.betas, list):
            object.__setattr__(self, "betas", tuple(self.betas))  # JSON gives a list
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise ValueError(f"betas must be a pair of numbers in [0, 1), got {self.betas}")
        for beta in self.betas:
            check_number("betas", beta, minimum=0.0, below=1.0)
        check_choice("loss", self.loss, LOSSES)
        check_number("dropout", self.dropout, minimum=0.0, below=1.0)
        check_choice("dropout_at", self.dropout_at, DROPOUT_PLACES)
        check_number("weight_noise", self.weight_noise, minimum=0.0)
        check_number("update_noise", self.update_noise, minimum=0.0)

    @property
    def evaluated_steps(self) -> tuple[int, ...]:
        """Updates after which the history has a row, increasing."""
        if isinstance(self.eval_every, int):
            return (*range(0, self.steps, self.eval_every), self.steps)
        n = math.ceil(_ROWS_PER_DECADE * math.log10(self.steps))
        spaced = {round(10 ** (i / _ROWS_PER_DECADE)) for i in range(n)}
        return tuple(sorted({0, self.steps, *(step for step in spaced if step < self.steps)}))
