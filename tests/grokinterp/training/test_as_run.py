"""A network that was trained elsewhere, with its training pairs, as a run."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr
from torch import Tensor

import grokinterp as gi
from analyses import phases
from analyses.one_run.stored_networks import stored_networks

SCORES = [f"{subset}_{score}" for subset in ("train", "test", "changed") for score in ("loss",)]
SCORES += [name.replace("loss", "accuracy") for name in SCORES]


def as_trained(run: gi.Run, order: Tensor | None = None, **changes: Any) -> gi.Run:
    data, order = run.dataset, run.dataset.is_train.nonzero()[:, 0] if order is None else order
    arguments: dict[str, Any] = {"pairs": data.tokens[order], "labels": data.labels[order]}
    arguments |= {"operation": "addition", "loss": "mse"} | changes
    return gi.as_run(copy.deepcopy(run.model), **arguments)


def test_it_is_the_run_that_was_trained_here(tiny_run: gi.Run) -> None:
    rng = torch.Generator().manual_seed(0)
    index = tiny_run.dataset.is_train.nonzero()[:, 0]
    own = as_trained(tiny_run, index[torch.randperm(len(index), generator=rng)])
    for name in ("tokens", "labels", "clean_labels", "is_train", "is_changed"):
        assert torch.equal(getattr(own.dataset, name), getattr(tiny_run.dataset, name))
    last, found = tiny_run.history.isel(step=-1), own.history.isel(step=0)
    xr.testing.assert_allclose(found[SCORES].drop_vars("step"), last[SCORES].drop_vars("step"))
    torch.testing.assert_close(torch.tensor(found.norm.values), torch.tensor(last.norm.values))
    assert own.config.data.n_train == tiny_run.config.data.n_train
    assert phases.classify(own) == phases.classify(tiny_run)
    assert own.ending == "trained elsewhere"
    assert [(stored.step, stored.model) for stored in stored_networks(own)] == [(0, own.model)]


@pytest.mark.parametrize("p", [5, 11, 97, 113])
def test_any_number_of_pairs_is_kept_in_the_config(p: int) -> None:
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=2), p=p)
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    for n in (1, p, p * p // 2, p * p - 1):
        labels = pairs[:n].sum(dim=1) % p
        run = gi.as_run(model, pairs[:n], labels, operation="addition")
        assert run.config.data.n_train == n == int(run.dataset.is_train.sum())
        assert run.dataset.is_changed.sum() == 0


def test_saving_is_refused(tiny_run: gi.Run, tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="has no config from which a saved run"):
        as_trained(tiny_run).save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "all pairs": ({"pairs": torch.cartesian_prod(*[torch.arange(11)] * 2),
                   "labels": torch.zeros(121, dtype=torch.int64)}, "has 121 of the 121 pairs"),
    "none": ({"pairs": torch.zeros(0, 2, dtype=torch.int64),
              "labels": torch.zeros(0, dtype=torch.int64)}, "pairs has 0 of the 121 pairs"),
    "twice": ({"pairs": torch.tensor([[1, 2], [1, 2]]), "labels": torch.tensor([3, 3])},
              "2 rows but 1 different"),
    "residue": ({"pairs": torch.tensor([[1, 11]]), "labels": torch.tensor([1])}, "take them mod p"),
    "label": ({"pairs": torch.tensor([[1, 2]]), "labels": torch.tensor([11])}, "labels must lie"),
    "sizes": ({"pairs": torch.tensor([[1, 2]]), "labels": torch.tensor([1, 2])}, "labels"),
    "loss": ({"loss": "nll"}, "loss"),
    "operation": ({"operation": "plus"}, "operation"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_refused_by_name(case: str, tiny_run: gi.Run) -> None:
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        as_trained(tiny_run, **changes)


def test_networks_that_a_run_does_not_know_are_refused(tiny_run: gi.Run) -> None:
    class Net(torch.nn.Module):
        def __init__(self, size: float = 1.0) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(size))

        def forward(self, pairs: Tensor) -> Tensor:
            return self.scale * torch.nn.functional.one_hot(pairs.sum(dim=1) % 11, 11)

    data = tiny_run.dataset
    pairs, labels = data.tokens[data.is_train], data.labels[data.is_train]
    with pytest.raises(TypeError, match=r"HookedModule, which a run does not know; .*gi\.wrap"):
        gi.as_run(gi.HookedModule(Net(), p=11), pairs, labels, operation="addition")
    run = gi.as_run(gi.wrap(Net(), p=11), pairs, labels, operation="addition")
    assert float(run.history.test_accuracy[0]) == 1.0
    assert float(run.history.norm.sel(weight="net.scale")[0]) == 1.0
