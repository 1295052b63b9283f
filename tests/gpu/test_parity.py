"""Every way to train on a CUDA device gives what the CPU gives."""

from collections.abc import Sequence

import pytest
import torch

import grokinterp as gi
from grokinterp.session import own_session
from grokinterp.team import Team
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack
from tests.gpu.parity import (
    KINDS,
    NOT_REPLAYED,
    ON_CPU,
    Gap,
    runs_of,
    trained,
    trained_on_cpu,
)


@pytest.mark.parametrize("precision", ["float64", *ON_CPU])
@pytest.mark.parametrize("kind", KINDS)
def test_curves_and_phases_are_the_cpus(kind: str, precision: str) -> None:
    """Over 200 steps; in low precision, no further from float64 than on the CPU."""
    exact, on_cpu = trained_on_cpu(kind, "float64"), None
    gap = Gap.between(trained(runs_of(kind), "cuda", precision), exact)
    if precision != "float64":
        on_cpu = Gap.between(trained_on_cpu(kind, ON_CPU[precision]), exact)
    assert not gap.excess(precision, on_cpu), (gap, on_cpu)


def steps(configs: Sequence[gi.RunConfig], count: int, *, replayed: bool) -> Stack:
    with own_session(), Team(1) as team:
        stack = Stack(configs, Resources(device="cuda"), team, replayed=replayed)
        for _ in range(count):
            stack.step()
    return stack


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_replayed_unless_the_host_draws_in_it(kind: str) -> None:
    stack = steps(runs_of(kind), 5, replayed=True)
    if kind in NOT_REPLAYED:
        assert stack.replay is None
    else:
        assert stack.replay is not None
        assert stack.replay.refusal == ""
        assert stack.replay.replays


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NOT_REPLAYED])
def test_a_replayed_step_is_the_step(kind: str) -> None:
    one, other = (steps(runs_of(kind), 20, replayed=replayed) for replayed in (True, False))
    torch.testing.assert_close(one.state.weights, other.state.weights, rtol=1e-4, atol=1e-6)
    assert one.optimizer.taken == other.optimizer.taken == 20


def test_a_run_that_diverges_in_a_replayed_step_stops_there() -> None:
    configs = runs_of("mlp", steps=60)
    wild = configs[0].replace({"training.lr": 1e38, "training.weight_decay": 1e30})
    with pytest.warns(gi.DivergenceWarning):
        on_gpu = trained([wild, *configs[1:]], "cuda", "float64")
    with pytest.warns(gi.DivergenceWarning):
        on_cpu = trained([wild, *configs[1:]], "cpu", "float64")
    assert on_gpu[0].diverged_at == on_cpu[0].diverged_at
    assert Gap.between(on_gpu[1:], on_cpu[1:]).weights < 1e-10


def test_a_stack_that_does_not_fit_is_halved() -> None:
    """A limit that promises more than the device has."""
    config = runs_of("mlp", steps=3)[0].replace({"data.p": 97, "model.d_mlp": 4000})
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        runs = gi.train_many(
            [config.replace({"seed": seed}) for seed in range(64)],
            device="cuda",
            memory_limit="10000 GiB",
            progress=False,
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(runs) == 64
    assert {run.provenance["stack_size"] for run in runs} < {1, 2, 4, 8, 16, 32}
