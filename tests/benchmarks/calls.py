"""Calls by public names that every version has, for ``against.py`` to time."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import grokinterp as gi
from probes import pruning_curve

Call = Callable[[], object]


def calls(size: str) -> dict[str, Call]:
    """What is timed, by its name."""
    full = size == "full"
    default = gi.RunConfig(data=gi.DataConfig(corruption=0.35))
    default = default if full else default.replace({"data.p": 11, "model.d_mlp": 16})
    p = default.data.p
    small = default.replace({"data.p": 31 if full else 11, "model.d_mlp": 64})
    network = gi.build_model(default)
    data = gi.make_dataset(default.data)
    order = torch.randperm(default.model.d_mlp, generator=torch.Generator().manual_seed(0))

    def trained(
        config: gi.RunConfig, steps: int, precision: str = "float32", runs: int = 1
    ) -> Call:
        each = [config.replace({"training.steps": steps, "seed": seed}) for seed in range(runs)]
        return lambda: gi.train_many(each, precision=precision, progress=False)

    def network_of(model: Any, batch: int | None) -> gi.RunConfig:
        training = gi.TrainConfig(loss="cross_entropy", batch_size=batch if full else None)
        return gi.RunConfig(
            data=gi.DataConfig(p=p, train_fraction=0.5), model=model, training=training
        )

    def swept() -> None:
        with tempfile.TemporaryDirectory() as folder:
            gi.sweep(
                small.replace({"training.steps": 200}),
                {"data.corruption": [0.0, 0.2]},
                seeds=8,
                store=Path(folder) / "sweep",
                device="cpu",
                progress=False,
            )

    one = gi.TransformerConfig() if full else gi.TransformerConfig(d_model=16, d_mlp=16)
    two = {"d_vocab": None, "d_vocab_out": None}
    return {
        "gi.train, 100 steps, float32": trained(default, 100),
        "gi.train, 100 steps, bfloat16": trained(default, 100, "bfloat16"),
        "16 runs as one stack, 20 steps, float32": trained(default, 20, runs=16),
        "16 runs as one stack, 20 steps, bfloat16": trained(default, 20, "bfloat16", runs=16),
        "dropout 0.3, 50 steps": trained(default.replace({"training.dropout": 0.3}), 50),
        "256 runs of p 31, 64 neurons, 100 steps": trained(small, 100, runs=256 if full else 4),
        "sweep of 16 runs of p 31, 64 neurons, 200 steps": swept,
        "1-layer transformer, full batch, 20 steps": trained(network_of(one, None), 20),
        "1-layer transformer, batches of 512, 200 steps": trained(network_of(one, 512), 200),
        "second paper's transformer, batches of 512, 50 steps": trained(
            network_of(gi.TransformerConfig.paper2(**two) if full else one, 512), 50
        ),
        "second paper's LSTM, batches of 512, 50 steps": trained(
            network_of(gi.LSTMConfig() if full else gi.LSTMConfig(d_embed=8, d_hidden=8), 512), 50
        ),
        "pruning curve, 500 removals": lambda: pruning_curve(network, data, order),
    }


def serve(size: str) -> None:
    """Print the package's place and the names, then the seconds of each call that is asked for."""
    torch.set_num_threads(2)
    known = calls(size)
    print(json.dumps([gi.__file__, [*known]]), flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        known[line.strip()]()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
