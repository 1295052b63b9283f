import itertools
import json
import math

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
        ("dropout_at", "after", "dropout_at='after' is unknown.* Known: post, pre"),
        ("weight_noise", -1.0, "weight_noise must lie in"),
        ("update_noise", math.inf, "update_noise must be finite"),
    ],
)
def test_impossible_noise_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gi.TrainConfig(**{field: value})  # pyright: ignore[reportArgumentType]
