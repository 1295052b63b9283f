"""Matrix products of several runs at once."""

import torch
from jaxtyping import Float
from torch import Tensor


class Products:
    """Matrix products of every run in one precision, whose results are converted to another."""

    def __init__(self, dtype: torch.dtype, low_dtype: torch.dtype) -> None:
        self.dtype, self.low_dtype = dtype, low_dtype
        self._is_low = dtype != low_dtype

    def lower(self, x: Tensor) -> Tensor:
        """An operand in the products' precision."""
        return x.to(self.low_dtype)

    def linear(
        self,
        x: Float[Tensor, "run row n"],
        W: Float[Tensor, "run n m"],
        b: Float[Tensor, "run m"] | None = None,
    ) -> Float[Tensor, "run row m"]:
        """``x W + b``."""
        if self._is_low:
            out = torch.bmm(self.lower(x), self.lower(W)).to(self.dtype)
            return out if b is None else out.add_(b[:, None])
        return torch.bmm(x, W) if b is None else torch.baddbmm(b[:, None], x, W)

    def add(
        self,
        grad: Float[Tensor, "run n m"],
        x: Float[Tensor, "run row n"],
        delta: Float[Tensor, "run row m"],
    ) -> None:
        """Add ``x^T delta`` to the gradient of W."""
        if self._is_low:
            grad.add_(torch.bmm(self.lower(x).mT, self.lower(delta)))
        else:
            grad.baddbmm_(x.mT, delta)
