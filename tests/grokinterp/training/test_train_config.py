import itertools
import json
import math
from typing import Any

import numpy as np
import pytest

import grokinterp as gi


def test_rows_every_so_many_steps() -> None:
    assert gi.TrainConfig(steps=10, eval_every=4).evaluated_steps == (0, 4, 8, 10)
    assert gi.TrainConfig(steps=8, eval_every=4).evaluated_steps == (0, 4, 8)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 11, 2000, 100_000])
def test_log_rows_start_at_zero_end_at_the_last_and_are_spaced_evenly(steps: int) -> None:
    rows = gi.TrainConfig(steps=steps, eval_every="log").evaluated_steps
    assert rows[0] == 0
    assert rows[-1] == steps
    assert list(rows) == sorted(set(rows))
    assert set(range(min(steps, 9))) <= set(rows)  # single steps while they are the finer grid
    for low in (100, 1000, 10_000):
        if steps >= 10 * low:
            assert sum(low <= row < 10 * low for row in rows) == 20
    for one, other in itertools.pairwise(rows):
        assert other - one <= max(1, math.ceil(0.13 * one))  # 10 ** (1 / 20) = 1.122


def test_log_rows_of_a_run() -> None:
    config = gi.RunConfig(
        data=gi.DataConfig(p=5),
        model=gi.MLPConfig(d_mlp=4),
        training=gi.TrainConfig(steps=23, eval_every="log"),
    )
    run = gi.train(config, progress=False)
    assert list(run.history.step.values) == [*range(12), 13, 14, 16, 18, 20, 22, 23]
    assert gi.RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_is_no_spacing_is_named() -> None:
    with pytest.raises(ValueError, match=r"eval_every='linear' is unknown; give .* or 'log'"):
        gi.TrainConfig(eval_every="linear")
    with pytest.raises(ValueError, match="eval_every must be at least 1, got 0"):
        gi.TrainConfig(eval_every=0)
    with pytest.raises(TypeError, match="eval_every must be an integer"):
        gi.TrainConfig(eval_every=2.5)  # pyright: ignore[reportArgumentType]
    assert gi.TrainConfig(eval_every=np.str_("log")) == gi.TrainConfig(eval_every="log")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dropout", 1.0, r"dropout must lie in \[0.0, 1.0\), got 1.0"),
        ("dropout", -0.1, r"dropout must lie in \[0.0, 1.0\), got -0.1"),
        ("dropout", math.nan, "dropout must be finite"),
        ("weight_noise", -1.0, "weight_noise must lie in"),
        ("update_noise", math.inf, "update_noise must be finite"),
    ],
)
def test_impossible_noise_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gi.TrainConfig(**{field: value})  # pyright: ignore[reportArgumentType]


def test_dropout_goes_where_the_architecture_has_a_place() -> None:
    gi.RunConfig(training=gi.TrainConfig(dropout=0.1, dropout_at="pre+post"))
    with pytest.raises(ValueError, match=r"dropout_at='after' of a MLPConfig is .*post, pre"):
        gi.RunConfig(training=gi.TrainConfig(dropout=0.1, dropout_at="pre+after"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "ADAMW"}, "optimizer='ADAMW' is unknown. Did you mean 'adamw'"),
        (
            {"optimizer": "adam", "decay": "decoupled_zero"},
            "decay='decoupled_zero' with optimizer='adam' is unknown",
        ),
        ({"decay": "l2"}, "decay='l2' with optimizer='adamw' is unknown"),
        ({"momentum": 0.9}, "momentum=0.9 needs optimizer='sgd'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0"),
    ],
)
def test_impossible_optimisers_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gi.TrainConfig(**fields)


@pytest.mark.parametrize(
    ("batch_size", "lr", "steps"), [(8, 0.00177, 64000), (64, 0.005, 8000), (256, 0.01, 2000)]
)
def test_the_papers_batch_sizes(batch_size: int, lr: float, steps: int) -> None:
    """Doshi et al. 2023, appendix A: the rates and steps of their mini-batch runs."""
    scaled = gi.TrainConfig().at_batch_size(batch_size)
    assert scaled.lr == pytest.approx(lr, rel=2e-3)
    assert (scaled.batch_size, scaled.steps) == (batch_size, steps)
    assert len(scaled.evaluated_steps) == len(gi.TrainConfig().evaluated_steps)
