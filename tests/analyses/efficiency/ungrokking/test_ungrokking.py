"""Networks trained on with less data: what they begin from, and what is read off their curves."""

import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import grokinterp as gi
from analyses.efficiency import settings, ungrokking
from analyses.efficiency.ungrokking import compute, continued
from analyses.efficiency.ungrokking.runs import (
    FRACTIONS,
    WEIGHT_DECAYS,
    grokked,
    have_grokked,
)
from grokinterp.sweeps.collect import collect

P = 13
STEPS = np.arange(0, 1001, 10)


def history(train: float | np.ndarray, test: float | np.ndarray) -> xr.Dataset:
    """Curves over ``STEPS``."""
    curves = {"train_accuracy": train, "test_accuracy": test}
    rows = {name: ("step", np.broadcast_to(values, STEPS.shape)) for name, values in curves.items()}
    return xr.Dataset(rows, coords={"step": STEPS})


def made_start(seed: int = 0, train: float = 1.0, test: float = 1.0, **changes: Any) -> gi.Run:
    """A run that says it has these accuracies; its weights are those it was initialised with."""
    config = settings.seeded(settings.network("mlp", "tiny"), seed).replace(changes)
    model = gi.build_model(config).eval()
    return gi.Run(config, gi.make_dataset(config.data), model, history(train, test))


def went_on(
    start: gi.Run,
    test: float | np.ndarray,
    *,
    fraction: float = 0.2,
    weight_decay: float = 1.0,
    diverged_at: int | None = None,
) -> gi.Run:
    """A run that claims to have continued a start, with this validation accuracy."""
    named = continued(start, fraction, weight_decay, 1000)
    assert named.start is not None
    dataset, begun = gi.make_dataset(named.config.data), {"start": {"sha256": named.start.digest}}
    curves = history(1.0, test)
    return gi.Run(named.config, dataset, start.model, curves, diverged_at, begun)


@pytest.fixture(scope="module")
def start() -> gi.Run:
    return made_start()


@pytest.mark.parametrize(("train", "test"), [(1.0, 0.9985), (0.9985, 1.0), (1.0, np.nan)])
def test_a_start_that_has_not_grokked_is_refused_with_its_numbers(
    train: float, test: float
) -> None:
    start = made_start(train=train, test=test)
    with pytest.raises(
        ValueError, match=r"has not grokked: train accuracy (1|0\.9985).* step 1000"
    ):
        continued(start, 0.2, 1.0, 100)
    if not np.isnan(test):
        assert grokked(start, level=0.998).step == 1000


def test_a_start_that_diverged_after_grokking_is_refused(start: gi.Run) -> None:
    with pytest.raises(ValueError, match="mlp, seed 0\\) diverged after step 1003"):
        grokked(dataclasses.replace(start, diverged_at=1003))


def test_a_continued_run_sees_a_part_of_what_its_start_saw(start: gi.Run) -> None:
    named = continued(start, 0.2, 0.3, 600)
    assert named.config.training.steps == 600
    assert named.config.training.weight_decay == 0.3
    assert named.config == settings.with_fraction(named.config, 0.2)  # with its batches
    smaller = gi.make_dataset(named.config.data)
    assert smaller.is_train.sum() == 33
    assert not (smaller.is_train & ~start.dataset.is_train).any()
    assert named.start is not None
    assert named.start.moments is None
    for name, weight in start.model.state_dict().items():
        assert torch.equal(named.start.state[name], weight)
    folders = {
        continued(made_start(seed), fraction, decay, 10).folder
        for seed, fraction, decay in itertools.product((0, 1), (0.2, 0.3), (0.1, 1.0))
    }
    assert len(folders) == 8


def test_bad_fractions_are_refused(start: gi.Run) -> None:
    with pytest.raises(ValueError, match=r"fraction must lie in \(0, 0\.5\).* got 0\.5"):
        continued(start, 0.5, 1.0, 10)
    with pytest.raises(ValueError, match=r"0\.05 leaves 8 pairs, fewer than the 13 classes"):
        continued(start, 0.05, 1.0, 10)
    few = continued(start, 0.05, 1.0, 10, fewer_than_classes=True)
    assert few.config.data.n_train == 8
    # The remedy that the message names is one.
    assert continued(start, 1 / P + 1e-9, 1.0, 10).config.data.n_train == P


def test_moments_are_kept_only_if_there_are_some(start: gi.Run) -> None:
    with pytest.raises(ValueError, match="no checkpoint 'grokked'"):
        continued(start, 0.2, 1.0, 10, kept=True)


def test_what_is_read_off_a_curve(start: gi.Run) -> None:
    falling = np.clip(1 - STEPS / 500, 0.05, 1)
    still = np.clip(1 - STEPS / 2000, 0, 1)  # a line: half of it is left
    runs = [went_on(start, falling, fraction=0.2), went_on(start, still, fraction=0.3)]
    found = compute(runs, [start]).squeeze()
    # The last 30 % of the line, whose median is at step 850.
    np.testing.assert_allclose(found.final, [0.05, 1 - 850 / 2000])
    np.testing.assert_allclose(found.lowest, [0.05, 0.5])
    assert found.flat.values.tolist() == [True, False]
    assert found.n_train.values.tolist() == [33, 50]
    np.testing.assert_array_equal(found.test_accuracy[0], falling)


def test_a_dip_is_kept_and_a_diverged_run_has_no_final_value(start: gi.Run) -> None:
    dip = np.where((STEPS > 200) & (STEPS < 300), 0.3, 1.0)
    runs = [went_on(start, dip), went_on(start, 0.7, fraction=0.3, diverged_at=1005)]
    found = compute(runs, [start]).squeeze()
    assert found.lowest.values.tolist() == [0.3, 0.7]
    assert found.final[0] == 1
    assert found.final[1].isnull()
    assert found.flat.values.tolist() == [True, False]
    assert found.unseen[1].isnull()
    assert found.final_mean.isnull().values.tolist() == [False, True]


class Knows(torch.nn.Module):
    """Right on some pairs, wrong on all others."""

    def __init__(self, pairs: torch.Tensor) -> None:
        super().__init__()
        self.pairs = pairs

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        a, b = tokens.T
        wrong = ~self.pairs[a * P + b]
        return torch.nn.functional.one_hot((a + b + wrong) % P, P).float()


def test_pairs_that_neither_training_saw_are_told_apart(start: gi.Run) -> None:
    knows_training = Knows(start.dataset.is_train)
    knows_rest = Knows(~start.dataset.is_train)
    runs = [
        dataclasses.replace(went_on(start, 1.0, weight_decay=decay), model=model)
        for decay, model in ((0.1, knows_training), (1.0, knows_rest))
    ]
    assert compute(runs, [start]).unseen.values.ravel().tolist() == [0, 1]


def test_runs_of_other_starts_and_splits_are_refused(start: gi.Run) -> None:
    run = went_on(start, 1.0)
    with pytest.raises(ValueError, match="mlp, seed 0, that began from none of the starts"):
        compute([run], [made_start(1)])
    with pytest.raises(ValueError, match="began from none"):
        compute([dataclasses.replace(run, provenance={})], [start])
    elsewhere = dataclasses.replace(run, dataset=gi.make_dataset(gi.DataConfig(p=P, seed=9)))
    with pytest.raises(ValueError, match=r"its start was not trained on; keep data\.seed"):
        compute([elsewhere], [start])


def test_tiny_networks_from_start_to_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For real: begun at the start's weights, with its moments or without."""
    monkeypatch.setattr(settings, "NETWORKS", ("mlp",))
    monkeypatch.setattr(
        "analyses.efficiency.ungrokking.runs.collect", functools.partial(collect, progress=False)
    )
    monkeypatch.setitem(FRACTIONS, "tiny", (0.2,))
    with pytest.raises(ValueError, match="has not grokked"):
        ungrokking.collect_runs(tmp_path / "strict", "tiny", 1)
    monkeypatch.setattr(gi, "reached", lambda **_: gi.at_step(10))  # a toy groks by decree
    (start,), runs = ungrokking.collect_runs(tmp_path, "tiny", 1, level=0.0)
    fresh, kept = (
        [run for run in runs if run.provenance["start"]["sha256"] == checkpoint.digest]
        for checkpoint in (start.checkpoints["grokked"].fresh(), start.checkpoints["grokked"])
    )
    assert [run.config.training.weight_decay for run in fresh] == [0.1, 1.0]
    assert [run.config.training.weight_decay for run in kept] == [0.1, 1.0]
    found = compute(runs, [start])
    assert found.moments.values.tolist() == ["fresh", "kept"]
    begun = found.test_accuracy.sel(step=0, weight_decay=1.0).values
    with torch.no_grad():
        said = start.model_at("grokked")(start.dataset.tokens).argmax(dim=1) == start.dataset.labels
    outside = said[~fresh[0].dataset.is_train].double().mean().item()
    np.testing.assert_allclose(begun, outside)
    ends = found.test_accuracy.sel(weight_decay=1.0).isel(step=-1)
    assert ends.notnull().all()
    weights = [run.model.state_dict() for run in (fresh[1], kept[1])]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.usefixtures("no_type_checker")  # what is asked for stands for runs
def test_a_start_without_moments_has_no_control_that_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is of an earlier call, whose level it did not reach."""

    def collected(_: Path, wanted: list, **__: object) -> list:
        return [made_start() if named.start is None else named for named in wanted]

    monkeypatch.setattr("analyses.efficiency.ungrokking.runs.collect", collected)
    _, wanted = ungrokking.collect_runs(str(tmp_path), "tiny", 1, networks=["mlp"], level=0.9)
    decays, fractions = WEIGHT_DECAYS["tiny"], FRACTIONS["tiny"]
    assert len(wanted) == len(decays) * len(fractions)


def test_a_start_that_has_not_grokked_leaves_its_seed_out() -> None:
    good, bad = made_start(), made_start(seed=1, test=0.5)
    assert have_grokked([bad, good], 0.9) == [good]
    with pytest.raises(ValueError, match=r"seed 1\) has not grokked: .* test accuracy 0\.5000"):
        have_grokked([bad, bad], 0.9)
