"""Which runs train together: those that share a program, in chunks that fit into memory."""

import re
from collections.abc import Sequence
from fractions import Fraction

import torch

from grokinterp.config import RunConfig, build_model
from grokinterp.models.registry import model_class

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_DEFAULT_SHARE = 0.5  # of the memory that is free when training starts


def plan(
    configs: Sequence[RunConfig],
    device: torch.device,
    *,
    itemsize: int,
    memory_limit: int | str | None,
) -> list[list[int]]:
    """Positions in ``configs``, stack by stack.

    Runs can share a stack if architecture, modulus, loss, optimiser, batch size and evaluated steps
    agree. Within a stack they are ordered by the size of their training sets.

    Raises:
        ValueError: one run needs more than ``memory_limit``, or without a limit more than is free.
    """
    programs: dict[tuple[object, ...], list[int]] = {}
    for i, config in enumerate(configs):
        training = config.training
        program = (config.model, config.data.p, training.loss, training.steps, training.eval_every,
                   training.optimizer, training.batch_size)  # fmt: skip
        programs.setdefault(program, []).append(i)
    free = _free_memory(device)
    limit = int(_DEFAULT_SHARE * free) if memory_limit is None else parse_bytes(memory_limit)
    stacks = []
    for members in programs.values():
        members.sort(key=lambda i: configs[i].data.n_train)
        need = run_bytes(configs[members[-1]], device, itemsize)
        if memory_limit is None and need > free:
            raise ValueError(
                f"a run of p={configs[members[-1]].data.p} and {configs[members[-1]].model} needs "
                f"about {need / 2**30:.1f} GiB, and {device} has {free / 2**30:.1f} free; train a "
                "smaller network, or give a memory_limit to try nevertheless"
            )
        if memory_limit is not None and need > limit:
            raise ValueError(
                f"memory_limit={memory_limit!r} is below one run, which needs about "
                f"{need / 2**20:.0f} MiB; raise it or train a smaller network"
            )
        size = max(1, limit // need)
        stacks += [members[start : start + size] for start in range(0, len(members), size)]
    return stacks


def run_bytes(config: RunConfig, device: torch.device, itemsize: int) -> int:
    """About how much memory one run takes in a stack, its history and its result included."""
    parameters = model_class(config.model).parameter_count(config.model, config.data.p)
    if not parameters:  # a user's own class that does not count them
        parameters = sum(weight.numel() for weight in build_model(config).parameters())
    pairs, n_train = config.data.p**2, config.data.n_train
    # weights, gradient, two moments, update; the finished model once more
    state = 6 * parameters * itemsize
    # tokens and labels twice over (the data set, and cut for gathers), masks, scores
    data = pairs * (2 * 32 + 6 * itemsize + 3) + n_train * 24
    if device.type == "cpu":
        return state + data  # activations live in buffers that all runs share
    # each activation once more for its gradient, and once for what autograd keeps
    floats = build_model(config).floats_per_example()
    activations = max(n_train, pairs) * 3 * floats * itemsize
    return state + data + activations


def parse_bytes(amount: int | str) -> int:
    """Bytes from a number or a text such as "2 GiB" or "500MB"."""
    if isinstance(amount, int) and not isinstance(amount, bool) and amount > 0:
        return amount
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(amount))
    if isinstance(amount, bool) or match is None or match[2].upper() not in _UNITS:
        raise ValueError(
            f"memory_limit={amount!r} is no amount of memory; give bytes or a text such as '4 GiB'"
        )
    return int(Fraction(match[1]) * _UNITS[match[2].upper()])


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    import psutil

    return psutil.virtual_memory().available
