"""How one run is optimised."""

from dataclasses import dataclass

from grokinterp._checks import check_choice, check_int, check_number, plain_numbers
from grokinterp.training.losses import LOSSES


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Full-batch AdamW; the defaults are the first paper's (Doshi et al. 2023, appendix A)."""

    steps: int = 2000  # full-batch updates
    lr: float = 1e-2
    weight_decay: float = 0.0  # decoupled: each step multiplies all weights by 1 - lr * this
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    loss: str = "mse"  # "mse" against one-hot labels, mean over classes too; or "cross_entropy"
    eval_every: int = 10  # steps between rows of the history; step 0 and the last are always there

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_int("steps", self.steps, minimum=1)
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

    @property
    def evaluated_steps(self) -> tuple[int, ...]:
        """Updates after which the history has a row."""
        return (*range(0, self.steps, self.eval_every), self.steps)
