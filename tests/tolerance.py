"""How far apart rounding may leave two correct computations of the same numbers.

A sum depends on the order of its terms, and that order on the processor, its instructions, the
library and the number of threads. A tolerance that one machine just keeps fails on the next one.
"""

import torch
from torch import Tensor


def rounding(dtype: torch.dtype, n_terms: int, scale: float = 1.0) -> float:
    """Largest absolute gap between two correct computations of a sum, in any order.

    Each of the n additions rounds by up to eps / 2 of the partial sum, and these errors have
    random signs: together about eps / 2 * sqrt(n) times the largest partial sum, up to eps / 2 * n
    where all terms are equal and round alike. 4 * eps * sqrt(n) * scale is eight times the first
    and covers the second for sums of up to 64 terms; a forgotten or doubled term is about
    scale / n or scale / sqrt(n), far more.

    Args:
        dtype: the least precise one in either computation.
        n_terms: length of the sum; for one sum after another (layers, steps), of all together.
        scale: size of the largest partial sum or result.
    """
    return 4 * torch.finfo(dtype).eps * n_terms**0.5 * scale


def assert_agree(
    ours: Tensor,
    theirs: Tensor,
    *,
    n_terms: int,
    dtype: torch.dtype | None = None,
    scale: float | None = None,
    name: str = "",
) -> None:
    """Two tensors are equal up to the rounding of sums of ``n_terms``.

    Args:
        ours: any shape.
        theirs: the same shape.
        n_terms: as for :func:`rounding`.
        dtype: the least precise dtype of the computations, if it is not that of ``ours``.
        scale: the largest number on the way, if it is larger than the largest of ``theirs``.
        name: of what is compared, for the message.
    """
    if scale is None:
        finite = theirs[theirs.isfinite()]
        scale = finite.abs().max().item() if finite.numel() else 0.0
    gap = rounding(dtype or ours.dtype, n_terms, scale)
    torch.testing.assert_close(
        ours, theirs, rtol=0, atol=gap, equal_nan=True, msg=lambda text: f"{name}\n{text}"
    )


def right_answers(logits: Tensor, labels: Tensor, gap: float) -> tuple[float, float]:
    """Smallest and largest share of right answers if every logit may move by ``gap``.

    Where two logits tie up to rounding, the machine decides which of them is the answer.
    """
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    margin = own - others
    return (margin > 2 * gap).double().mean().item(), (margin >= -2 * gap).double().mean().item()
