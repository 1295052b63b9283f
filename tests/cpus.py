"""What the processor of the tests can do."""

import torch


def has_bfloat16() -> bool:
    """Whether it has instructions for products of bfloat16 numbers."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
