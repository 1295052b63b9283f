"""The loader of Nanda et al.'s networks, against their forward pass written out by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import grokinterp as gi
from grokinterp.models.nanda2023 import SnapshotsOfTraining, load_nanda2023
from tests.grokinterp.models.trap import Trap
from tests.networks import all_pairs

P, D, HEADS, D_HEAD, D_MLP = 5, 8, 2, 3, 11


def their_state(seed: int = 1, *, n_layers: int = 1, mask: bool = True) -> dict[str, Tensor]:
    """A ``state_dict`` of a tiny network with p = 5, laid out as theirs, in float64."""
    draw = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (D, P + 1), "pos_embed.W_pos": (3, D)}
    for i in range(n_layers):
        shapes |= {f"blocks.{i}.attn.W_{x}": (HEADS, D_HEAD, D) for x in "KQV"}
        shapes[f"blocks.{i}.attn.W_O"] = (D, HEADS * D_HEAD)
        shapes |= {f"blocks.{i}.mlp.W_in": (D_MLP, D), f"blocks.{i}.mlp.b_in": (D_MLP,)}
        shapes |= {f"blocks.{i}.mlp.W_out": (D, D_MLP), f"blocks.{i}.mlp.b_out": (D,)}
    shapes["unembed.W_U"] = (D, P + 1)
    state = {
        name: torch.randn(shape, generator=draw, dtype=torch.float64)
        for name, shape in shapes.items()
    }
    masks = {f"blocks.{i}.attn.mask": torch.ones(3, 3).tril() for i in range(n_layers)}
    return state | (masks if mask else {})


def by_hand(w: dict[str, Tensor], a: int, b: int, *, act: Any = torch.relu) -> Tensor:
    """The logits after "=", one position and one head after the other, all as column vectors."""
    x = [w["embed.W_E"][:, token] + w["pos_embed.W_pos"][t] for t, token in enumerate([a, b, P])]
    for i in range(sum("W_O" in name for name in w)):
        attn, mlp = f"blocks.{i}.attn", f"blocks.{i}.mlp"
        written = []
        for t in range(3):
            z = []
            for head in range(HEADS):
                q = w[f"{attn}.W_Q"][head] @ x[t]
                scores = [q @ (w[f"{attn}.W_K"][head] @ x[s]) / D_HEAD**0.5 for s in range(t + 1)]
                weights = torch.stack(scores).softmax(dim=0)
                values = [w[f"{attn}.W_V"][head] @ x[s] for s in range(t + 1)]
                z.append(sum(share * v for share, v in zip(weights, values, strict=True)))
            written.append(w[f"{attn}.W_O"] @ torch.cat(z))
        x = [old + new for old, new in zip(x, written, strict=True)]
        hidden = [act(w[f"{mlp}.W_in"] @ row + w[f"{mlp}.b_in"]) for row in x]
        x = [r + w[f"{mlp}.W_out"] @ h + w[f"{mlp}.b_out"] for r, h in zip(x, hidden, strict=True)]
    return w["unembed.W_U"].T @ x[2]


def all_by_hand(state: dict[str, Tensor], **options: Any) -> Tensor:
    return torch.stack([by_hand(state, a, b, **options) for a, b in all_pairs(P).tolist()])


def saved(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "run.pth")
    return folder / "run.pth"


def network(path: Path, **options: Any) -> gi.HookedTransformer:
    model = load_nanda2023(path, **options)
    assert isinstance(model, gi.HookedTransformer)
    return model


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("mask", [True, False])
def test_their_network_by_hand(n_layers: int, mask: bool, tmp_path: Path) -> None:
    state = their_state(n_layers=n_layers, mask=mask)
    model = network(saved(tmp_path, state))
    assert not model.training
    assert (model.p, model.operation, model.template) == (P, "addition", "a b =")
    expected = all_by_hand(state)
    torch.testing.assert_close(model(all_pairs(P)), expected, rtol=1e-10, atol=1e-10)
    hooked, cache = model.run_with_cache(all_pairs(P))
    torch.testing.assert_close(hooked, expected, rtol=1e-10, atol=1e-10)
    assert cache["pattern", 0].shape == (P * P, HEADS, 3, 3)
    absent = (".b_Q", ".b_K", ".b_V", ".b_O", ".b_U")
    assert not any(name.endswith(absent) for name in model.state_dict())
    assert torch.equal(model.b_in[0], state["blocks.0.mlp.b_in"])
    assert not model.b_O.any()


def test_what_the_file_does_not_say(tmp_path: Path) -> None:
    state = their_state()
    model = network(saved(tmp_path, state), act_fn="gelu", operation="a**2 + a*b + b**2")
    assert model.operation == "a**2 + a*b + b**2"
    expected = all_by_hand(state, act=F.gelu)
    torch.testing.assert_close(model(all_pairs(P)), expected, rtol=1e-10, atol=1e-10)


def test_the_dictionary_that_their_trainer_saves(tmp_path: Path) -> None:
    state = their_state()
    content: dict[str, Any] = {"model": state, "train_loss": 0.1, "test_loss": 0.2, "epoch": 7}
    content |= {"train_data": [(0, 1, P)], "scheduler": {"last_epoch": 7}}
    model = network(saved(tmp_path, content))
    expected = all_by_hand(state)
    torch.testing.assert_close(model(all_pairs(P)), expected, rtol=1e-10, atol=1e-10)


def a_run(**changes: Any) -> dict[str, Any]:
    """Three snapshots, with losses of every epoch."""
    return {
        "state_dicts": [their_state(seed) for seed in (1, 2, 3)],
        "epochs": [0, 100, 200],
        "train_losses": [3.0 / (1 + i) for i in range(201)],
        "test_losses": torch.full((21,), 2.5),
        "config": {"p": P},
    } | changes


def test_a_full_run(tmp_path: Path) -> None:
    run = load_nanda2023(saved(tmp_path, a_run()))
    assert isinstance(run, SnapshotsOfTraining)
    assert len(run) == 3
    assert run.epochs.tolist() == [0, 100, 200]
    assert run.train_losses[:3].tolist() == [3.0, 1.5, 1.0]
    assert run.test_losses.tolist() == [2.5] * 21
    expected = [all_by_hand(their_state(seed)) for seed in (1, 2, 3)]
    found = list(run.models())
    assert [epoch for epoch, _ in found] == [0, 100, 200]
    for (_, model), logits in zip(found, expected, strict=True):  # each keeps its own weights
        torch.testing.assert_close(model(all_pairs(P)), logits, rtol=1e-10, atol=1e-10)
    for model, index in ((run.at(100), 1), (run.final, 2)):
        torch.testing.assert_close(model(all_pairs(P)), expected[index], rtol=1e-10, atol=1e-10)
    assert [epoch for epoch, _ in run.models(every=2)] == [0, 200]
    with torch.no_grad():
        run.at(0).W_E.zero_()  # a copy: the next one is as stored
    torch.testing.assert_close(run.at(0)(all_pairs(P)), expected[0], rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match=r"after epoch=120; the nearest are \[100, 200\]"):
        run.at(120)
    assert len(repr(run)) < 500


def test_files_of_before_torch_1_6(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(a_run(), path, _use_new_zipfile_serialization=False)
    run = load_nanda2023(path)
    assert isinstance(run, SnapshotsOfTraining)
    expected = all_by_hand(their_state(2))
    torch.testing.assert_close(run.at(100)(all_pairs(P)), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": [0, 1]}, r"for each of its state_dicts, got 2 numbers and 3 state_dicts"),
        ({"epochs": [0, 1, 1.5]}, "a whole number in 'epochs' for each"),
        ({"epochs": None}, "must have a list 'epochs', got None"),
        ({"train_losses": "low"}, "must have a list 'train_losses', got 'low'"),
        ({"train_losses": ["low"]}, "'train_losses' in run.pth must be a list of numbers"),
        ({"test_losses": [torch.ones(2)]}, "'test_losses' in run.pth must be a list of numbers"),
        ({"state_dicts": []}, "got 3 numbers and 0 state_dicts"),
        ({"state_dicts": [{}, {}, {}]}, r"state_dicts\[0\] must have embed.W_E with 2 axes"),
        (
            {"state_dicts": [their_state(), their_state(), their_state(n_layers=2)]},
            r"state_dicts\[2\]: extra blocks.1.attn.W_K",
        ),
        ({"state_dicts": [their_state(), their_state(), 3]}, r"state_dicts\[2\] must hold a state"),
    ],
)
def test_full_runs_that_do_not_fit_together(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        load_nanda2023(saved(tmp_path, a_run(**changes)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed.W_E": None}, r"must have embed.W_E with 2 axes, got nothing"),
        ({"blocks.0.mlp.b_out": None}, r"missing blocks.0.mlp.b_out \[8\]"),
        ({"blocks.0.attn.W_O": torch.ones(D, 7)}, r"W_O is \[8, 7\] and should be \[8, 6\]"),
        ({"ln_final.w": torch.ones(D)}, r"extra ln_final.w \[8\]"),
        ({"blocks.0.attn.b_Q": torch.ones(2, 3)}, "gi.from_transformer_lens"),
        ({"blocks.0.attn.mask": torch.ones(3, 3)}, "not the causal one of 3 positions"),
        ({"blocks.0.attn.mask": torch.ones(4, 4).tril()}, "not the causal one of 3 positions"),
        ({"pos_embed.W_pos": torch.ones(4, D)}, "a network of 4 positions and 6 tokens; those"),
        ({"embed.W_E": torch.ones(D, 6, dtype=torch.int64)}, "embed.W_E is torch.int64"),
        ({"unembed.W_U": torch.ones(1).expand(10**6, 10**6)}, "does not hold all numbers of une"),
        ({"unembed.W_U": "text"}, "must hold weights, but unembed.W_U is str"),
    ],
)
def test_other_networks_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    state = {name: w for name, w in (their_state() | changes).items() if w is not None}
    with pytest.raises(ValueError, match=message):
        load_nanda2023(saved(tmp_path, state))


def test_loading_runs_no_code_and_names_unreadable_files(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    for content in (their_state() | {"config": Trap(sprung)}, a_run(config=Trap(sprung))):
        with pytest.raises(ValueError, match=r"only tensors, numbers and texts.*weights_only"):
            load_nanda2023(saved(tmp_path, content))
        assert not sprung.exists()
    path = saved(tmp_path, their_state())
    for content in (b"", b"PK\x03\x04 cut", b"no model at all", path.read_bytes()[:-200]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"run\.pth does not hold only tensors"):
            load_nanda2023(path)
    with pytest.raises(ValueError, match=r"must hold a dict, got"):
        load_nanda2023(saved(tmp_path, [torch.ones(2)]))
    with pytest.raises(FileNotFoundError, match=r"path='.*nowhere' is not a file"):
        load_nanda2023(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="act_fn='tanh' is unknown"):
        load_nanda2023(saved(tmp_path, their_state()), act_fn="tanh")
    with pytest.raises(ValueError, match="operation"):
        load_nanda2023(path, operation="a + c")
