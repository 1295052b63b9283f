"""Memory that training needs, and memory that is free."""

import re
from fractions import Fraction

import torch

from grokinterp.config import RunConfig, build_model
from grokinterp.models.registry import model_class
from grokinterp.short_text import short

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def run_bytes(config: RunConfig, itemsize: int) -> int:
    """Approximate bytes of one run in a stack, including its history and the finished model.

    Its activations are not counted: the passes know theirs (``Passes.bytes_per_run``).
    """
    parameters = model_class(config.model).parameter_count(config.model, config.data.p)
    if not parameters:  # a user's class without parameter_count
        parameters = sum(weight.numel() for weight in build_model(config).parameters())
    pairs, n_train = config.data.p**2, config.data.n_train
    # weights, gradient, two moments, update; and the finished model
    state = 6 * parameters * itemsize
    # tokens and labels twice (data set, and indices for gathers), masks, scores
    data = pairs * (2 * 32 + 6 * itemsize + 3) + n_train * 24
    return state + data


def parse_bytes(amount: int | str) -> int:
    """Bytes from a number or a string such as "2 GiB" or "500MB"."""
    if isinstance(amount, int) and not isinstance(amount, bool) and amount > 0:
        return amount
    text = amount if isinstance(amount, str) else short(amount)  # str() raises on huge integers
    match = re.fullmatch(r"\s*(\d{1,999}(?:\.\d{1,999})?)\s*([a-zA-Z]*)\s*", text)
    if isinstance(amount, bool) or match is None or match[2].upper() not in _UNITS:
        raise ValueError(
            f"memory_limit={short(amount)} is not a valid memory size; give bytes or a string such "
            "as '4 GiB'"
        )
    return int(Fraction(match[1]) * _UNITS[match[2].upper()])


def free_memory(device: torch.device) -> int:
    """Bytes of memory currently free on a device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    import psutil

    return psutil.virtual_memory().available
