"""Group runs into stacks: runs with the same program, in chunks that fit into memory."""

from collections.abc import Hashable, Sequence

from grokinterp.config import RunConfig
from grokinterp.short_text import short
from grokinterp.training.memory import free_memory, parse_bytes, run_bytes
from grokinterp.training.passes import choose_passes
from grokinterp.training.program import program
from grokinterp.training.resources import Resources

_DEFAULT_SHARE = 0.5  # share of the memory free at the start that training may use


def bytes_per_run(config: RunConfig, resources: Resources) -> int:
    """Approximate bytes of one run in a stack, its activations included."""
    itemsize, passes = resources.dtype.itemsize, choose_passes([config], resources.place)
    return run_bytes(config, itemsize) + passes.bytes_per_run(config, itemsize)


def plan(configs: Sequence[RunConfig], resources: Resources) -> list[list[int]]:
    """Group configs into stacks; each stack is a list of indices into ``configs``.

    The runs of a stack have the same program (see ``program``) and are ordered by the size of their
    training sets.

    Raises:
        TypeError: a config is not a RunConfig.
        ValueError: one run needs more memory than the limit, or than is free if there is no limit.
    """
    programs: dict[tuple[Hashable, ...], list[int]] = {}
    for i, config in enumerate(configs):
        if not isinstance(config, RunConfig):
            raise TypeError(
                f"configs must be RunConfigs, got {short(config)}; a config of data, model or "
                "training is a part of one, as in gi.RunConfig(model=gi.MLPConfig())"
            )
        programs.setdefault(program(config), []).append(i)
    device, given = resources.place, resources.memory_limit
    free = free_memory(device)
    limit = int(_DEFAULT_SHARE * free) if given is None else parse_bytes(given)
    stacks = []
    for members in programs.values():
        members.sort(key=lambda i: configs[i].data.n_train)
        need = bytes_per_run(configs[members[-1]], resources)
        if given is None and need > free:
            raise ValueError(
                f"a run of p={configs[members[-1]].data.p} and {configs[members[-1]].model} needs "
                f"about {need / 2**30:.1f} GiB, and {device} has {free / 2**30:.1f} free; train a "
                "smaller network, or set memory_limit to try anyway"
            )
        if given is not None and need > limit:
            raise ValueError(
                f"memory_limit={short(given)} is too low for one run, which needs about "
                f"{need / 2**20:.0f} MiB; raise it or train a smaller network"
            )
        size = max(1, limit // need)
        stacks += [members[start : start + size] for start in range(0, len(members), size)]
    return stacks
