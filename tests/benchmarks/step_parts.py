"""Which operations a training step's time goes to, and what other block sizes would give.

    python -m tests.benchmarks.step_parts OUT              on an otherwise idle machine, 5 minutes
    python -m tests.benchmarks.step_parts OUT --size toy   whether the script works

All on one core. OUT receives ``step_parts.json``, written anew after every stage: milliseconds of a
step and the share of each kind of operation in it; times with other sizes of blocks, divided by
those of the size in use; with ``--compile``, elementwise parts with and without ``torch.compile``.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

import grokinterp as gi
from grokinterp.losses import LOSSES
from grokinterp.session import own_session
from grokinterp.team import Team
from grokinterp.training.passes import mlp_kernel, run_by_run, small, transformer_kernel
from grokinterp.training.resources import Resources
from grokinterp.training.stack import Stack
from tests.benchmarks.in_turn import milliseconds
from tests.benchmarks.machine import machine

ROUNDS = {"full": 20, "toy": 2}
# Kinds of operations, by the beginnings of their names.
KINDS = {
    "matrix products": ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::matmul"),
    "fused LSTM kernel": ("aten::mkldnn_rnn", "aten::lstm", "aten::_thnn"),
    "gathers": ("aten::index_select", "aten::_embedding_bag", "aten::embedding", "aten::gather"),
    "gradients of tables": ("aten::index_add", "aten::scatter", "aten::index_put"),
    "optimiser": ("aten::_fused_adam", "aten::_foreach"),
    "softmax": ("aten::_softmax", "aten::softmax", "aten::_log_softmax", "aten::logsumexp"),
}
OTHER, OUTSIDE = "elementwise, sums and copies", "between operations"


def configs(size: str) -> dict[str, tuple[Sequence[gi.RunConfig], str]]:
    """Runs of one stack and their precision, by name."""
    full = size == "full"
    p = 97 if full else 11

    def network(model: Any, batch: int | None, p: int = p) -> list[gi.RunConfig]:
        training = gi.TrainConfig(loss="cross_entropy", batch_size=batch if full else None)
        data = gi.DataConfig(p=p, train_fraction=0.5)
        return [gi.RunConfig(data=data, model=model, training=training)]

    mlp = gi.RunConfig(data=gi.DataConfig(corruption=0.35))
    mlp = mlp if full else mlp.replace({"data.p": 11, "model.d_mlp": 16})
    tiny = mlp.replace({"data.p": 31 if full else 11, "model.d_mlp": 64})
    one = gi.TransformerConfig() if full else gi.TransformerConfig(d_model=16, d_mlp=16)
    two = gi.TransformerConfig.paper2(d_vocab=None, d_vocab_out=None) if full else one
    lstm = gi.LSTMConfig() if full else gi.LSTMConfig(d_embed=8, d_hidden=8)
    embedded = gi.EmbeddingMLPConfig() if full else gi.EmbeddingMLPConfig(d_embed=8, hidden=(8,))
    return {
        "MLP, float32": ([mlp], "float32"),
        "MLP, bfloat16": ([mlp], "bfloat16"),
        "16 MLPs of p 31, 64 neurons": (
            [tiny.replace({"seed": seed}) for seed in range(16)],
            "float32",
        ),
        "1-layer transformer, full batch": (network(one, None), "float32"),
        "1-layer transformer, batches of 512": (network(one, 512), "float32"),
        "1-layer transformer, p 31, full batch": (network(one, None, 31 if full else 7), "float32"),
        "second paper's transformer, batches of 512": (network(two, 512), "float32"),
        "second paper's LSTM, full batch": (network(lstm, None), "float32"),
        "second paper's LSTM, batches of 512": (network(lstm, 512), "float32"),
        "second paper's embedding MLP, batches of 512": (network(embedded, 512), "float32"),
    }


def parts(size: str) -> dict[str, Any]:
    """Milliseconds of a step, and the share of each kind of operation in it.

    Times of operations are taken under the profiler, the whole step's without it; what is left over
    passes between operations, in Python.
    """
    found: dict[str, Any] = {}
    for name, (runs, precision) in configs(size).items():
        stack = _stack(runs, precision)
        step = milliseconds({"": stack.step}, ROUNDS[size])[""]
        with own_session(), profile(activities=[ProfilerActivity.CPU]) as profiled:
            for _ in range(ROUNDS[size]):
                stack.step()
        times: dict[str, float] = dict.fromkeys([*KINDS, OTHER], 0.0)
        for event in profiled.key_averages():
            times[_kind(event.key)] += event.self_cpu_time_total / ROUNDS[size] / 1e3
        shares = {kind: round(ms / step, 3) for kind, ms in times.items() if ms / step >= 0.005}
        shares[OUTSIDE] = round(max(0.0, 1.0 - sum(times.values()) / step), 3)
        found[name] = {"ms": step, "passes": type(stack.passes).__name__, "shares": shares}
    return found


def block_sizes(size: str) -> dict[str, Any]:
    """Time of a step with blocks of other sizes, divided by that with the size in use."""
    of = configs(size)
    subjects: list[tuple[str, ModuleType, str]] = [
        ("MLP, float32", mlp_kernel, "_BLOCK_BYTES"),
        ("MLP, bfloat16", mlp_kernel, "_BLOCK_BYTES"),
        ("16 MLPs of p 31, 64 neurons", small, "_GROUP_BYTES"),
        ("1-layer transformer, full batch", transformer_kernel, "_BLOCK_BYTES"),
        ("second paper's LSTM, full batch", run_by_run, "_BLOCK_BYTES"),
    ]
    found: dict[str, Any] = {}
    for name, module, constant in subjects:
        runs, precision = of[name]
        used = getattr(module, constant)
        stacks = {}
        for factor in (0.25, 0.5, 1.0, 2.0, 4.0):
            setattr(module, constant, int(used * factor))
            stacks[f"{factor:g}"] = _stack(runs, precision)
        setattr(module, constant, used)
        ms = milliseconds({key: stack.step for key, stack in stacks.items()}, ROUNDS[size])
        found[name] = {
            "bytes in use": used,
            "time by factor": {factor: round(taken / ms["1"], 3) for factor, taken in ms.items()},
        }
    return found


def compiled(size: str) -> dict[str, Any]:
    """Elementwise parts of a bfloat16 step on one block, with and without ``torch.compile``."""
    p, width = (97, 500) if size == "full" else (11, 16)
    rows = 2400 if size == "full" else 64
    rng = torch.Generator().manual_seed(0)
    operands = torch.randint(0, p, (rows, 2), generator=rng) + torch.tensor([0, p])
    labels = torch.randint(0, p, (rows,), generator=rng)
    table = torch.randn(2 * p, width, generator=rng).to(torch.bfloat16)
    logits, at_label = torch.randn(rows, p, generator=rng), torch.arange(rows) * p + labels
    low, post = torch.empty(rows, p, dtype=torch.bfloat16), torch.empty(rows, width).to(table.dtype)
    residual_ = LOSSES["mse"].residual_
    assert residual_ is not None

    def activations() -> object:
        pre = F.embedding_bag(operands, table, mode="sum")
        return pre, torch.mul(pre, pre, out=post)

    def fused_activations() -> object:
        pre = table[operands[:, 0]] + table[operands[:, 1]]
        return pre, pre * pre

    def residual() -> object:
        loss = residual_(logits, at_label)
        return low.copy_(logits), loss

    def fused_residual() -> object:
        difference = logits - F.one_hot(labels, p)
        return difference.to(torch.bfloat16), (difference * difference).sum()

    found: dict[str, Any] = {}
    for name, plain, to_compile in (
        ("gather, add and square", activations, fused_activations),
        ("residual, loss and cast", residual, fused_residual),
    ):
        fused: Callable[[], object] = torch.compile(to_compile)
        started = time.perf_counter()
        with own_session():
            fused()
        first = time.perf_counter() - started
        ms = milliseconds({"as it is, ms": plain, "compiled, ms": fused}, ROUNDS[size])
        found[name] = {"first call, s": first, **ms}
    return found


def _kind(operation: str) -> str:
    known = (kind for kind, starts in KINDS.items() if operation.startswith(starts))
    return next(known, OTHER)


def _stack(runs: Sequence[gi.RunConfig], precision: str) -> Stack:
    with own_session():
        stack = Stack(runs, Resources(device="cpu", precision=precision, threads=1), Team(1))
    for _ in range(2):
        stack.step()
    return stack


def main() -> None:
    """Run the stages and write what they give."""
    parser = argparse.ArgumentParser(description="Where a training step's time goes")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=ROUNDS, default="full")
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler, and minutes")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    results: dict[str, Any] = {"about": machine()}
    for stage in (parts, block_sizes, *([compiled] if args.compile else [])):
        results[stage.__name__] = stage(args.size)
        print(stage.__name__, json.dumps(results[stage.__name__], indent=1), flush=True)
        (args.out / "step_parts.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
