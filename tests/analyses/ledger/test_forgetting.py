"""The search and the scan with which the ledger asks whether SGD forgets."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import grokinterp as gi
from analyses.ledger.measures import forgetting
from analyses.ledger.paper1.collapse import ENTRIES, SGD


def test_nothing_is_tested_where_no_run_generalises(tmp_path: Path) -> None:
    data = forgetting.forgetting_with_sgd(
        seeds=2,
        work=tmp_path,
        p=5,
        d_mlp=8,
        train_fraction=0.5,
        corruption=0.2,
        search={"momenta": [0.0, 0.9], "rates": [1e-3], "decay": 0.0, "steps": 3},
        decays=[1e-3],
        rounds=1,
        steps=3,
        adamw_decays=[1.0],
    )
    assert data.searched.shape == (2, 1, 2)
    assert np.isnan(data.chosen).all()
    assert np.isnan(data.forgotten)
    assert data.generalised.values.tolist() == [0, 0]
    for entry in ENTRIES:
        if entry.source is SGD:
            assert {part.variable for part in entry.reads.values()} <= set(data)


@pytest.mark.parametrize(
    ("ends", "middle"),
    [
        ({1: [0.95, 0.2, 0.99], 4: [0.95, 0.2, 0.3], 16: [0.1, 0.1, 0.1]}, 2.0),
        ({1: [0.95], 4: [0.1], 16: [0.95], 64: [0.1]}, 32.0),  # the last that generalises counts
        ({1: [0.95], 4: [0.95]}, None),
        ({1: [0.1], 4: [0.1]}, None),
    ],
)
def test_the_edge_that_is_bisected(
    ends: dict[float, list[float]], middle: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Any] = [
        SimpleNamespace(
            test=test,
            config=SimpleNamespace(training=SimpleNamespace(weight_decay=float(decay))),
        )
        for decay, seeds in ends.items()
        for test in seeds
    ]
    monkeypatch.setattr(forgetting, "EndPoint", SimpleNamespace(of=lambda run: run))
    assert forgetting._edge(runs) == (None if middle is None else pytest.approx(middle))


def test_the_objective_of_vanishing_weights_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs of zero cost 1/p; weights of norm 1 add lambda/2."""
    run = gi.train(
        gi.RunConfig(
            data=gi.DataConfig(p=7),
            model=gi.MLPConfig(d_mlp=8),
            training=gi.TrainConfig(steps=1, lr=1e-3, optimizer="sgd", weight_decay=0.4),
        )
    )
    monkeypatch.setattr(forgetting, "_max_test", lambda _: 1.0)
    history = run.history
    run.history["train_loss"][:] = 1 / 7
    history["norm"][:] = 0.0
    assert forgetting._objective(run) == pytest.approx(1.0)
    history["norm"][:] = np.sqrt(1 / history.sizes["weight"])
    assert forgetting._objective(run) == pytest.approx(1 + 7 * 0.2)
