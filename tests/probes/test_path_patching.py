"""Paths between units: planted circuits, and the same computed by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

import grokinterp as gi
import probes
from grokinterp.models.registry import model_class
from tests.networks import all_pairs, native_transformer

P = 7
PAIRS = all_pairs(P)
SOURCE = (PAIRS * 3 + torch.tensor([1, 5])) % P
HEADS, D_HEAD = 3, 4


def network(config: Any) -> Any:
    """With random weights everywhere."""
    build: Any = model_class(config)
    model = build(config, p=P, seed=2).double().requires_grad_(False)
    rng = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.copy_(0.4 * torch.randn(weight.shape, generator=rng, dtype=torch.float64))
    model.operation = "addition"
    return model


def transformer(**changes: Any) -> Any:
    fields: dict[str, Any] = {"d_model": 12, "n_heads": HEADS, "d_mlp": 9, "n_layers": 2}
    return network(gi.TransformerConfig(**fields | changes))


def test_a_planted_circuit_of_two_neurons() -> None:
    """Neuron 2 of the first layer feeds only neuron 5 of the second, and 5 only the class 3."""
    model = network(gi.MLPConfig(d_mlp=6, n_layers=2, act="relu"))
    into = model.layers[1].W_in
    into[2] = 0
    into[2, 5], model.W_U[5] = 2.0, torch.eye(P, dtype=torch.float64)[3]
    clean, other = (model.run_with_cache(pairs)[1] for pairs in (PAIRS, SOURCE))
    told = (
        clean["layers.1.hook_pre"][:, 5]
        + 2 * (other["layers.0.hook_post"] - clean["layers.0.hook_post"])[:, 2]
    )
    found = probes.path_patching(model, ("neurons.0", 2), ("neurons.1", 5), PAIRS, SOURCE)
    assert found.received is not None
    torch.testing.assert_close(found.received, told.relu(), rtol=0, atol=1e-12)
    expected = torch.zeros(len(PAIRS), P, dtype=torch.float64)
    expected[:, 3] = told.relu() - clean["layers.1.hook_post"][:, 5]
    torch.testing.assert_close(found.effect, expected, rtol=0, atol=1e-12)
    assert found.effect.abs().max() > 0.1
    for receiver in (0, 1, 2, 3, 4):
        nothing = probes.path_patching(
            model, ("neurons.0", 2), ("neurons.1", receiver), PAIRS, SOURCE
        )
        assert not nothing.effect.any()


def test_a_planted_head_that_one_neuron_reads() -> None:
    """Head 1 writes to a direction of its own, which only neuron 4 reads; it writes to class 2."""
    model = transformer(n_layers=1)
    block: Any = model.blocks[0]
    own = torch.eye(12, dtype=torch.float64)[7]
    for weight in (model.embed.W_E, model.pos_embed.W_pos):
        weight[:, 7] = 0
    block.attn.W_O[..., 7] = 0
    block.attn.W_O[1] = torch.outer(torch.ones(D_HEAD, dtype=torch.float64), own)
    block.mlp.W_in[7] = 0
    block.mlp.W_in[7, 4] = 1.5
    block.mlp.W_out[:, 7] = 0
    model.W_U[7] = 0
    block.mlp.W_out[4] = 0
    block.mlp.W_out[4, 7] = 1
    model.W_U[7, 2] = 1
    found = probes.path_patching(model, ("heads.0", 1), ("neurons.0", 4), PAIRS, SOURCE)
    z, other = (model.run_with_cache(pairs)[1]["blocks.0.attn.hook_z"] for pairs in (PAIRS, SOURCE))
    pre = model.run_with_cache(PAIRS)[1]["blocks.0.mlp.hook_pre"][..., 4]
    told = (pre + 1.5 * (other - z)[:, :, 1].sum(dim=-1)).relu()
    assert found.received is not None
    torch.testing.assert_close(found.received, told, rtol=0, atol=1e-12)
    assert found.effect[:, 2].abs().max() > 0.1
    rest = [k for k in range(P) if k != 2]
    assert not found.effect[:, rest].any()
    expected = (told - pre.relu())[:, -1]
    torch.testing.assert_close(found.effect[:, 2], expected, rtol=0, atol=1e-12)
    for neuron in (0, 8):
        receiver = ("neurons.0", neuron)
        assert not probes.path_patching(model, ("heads.0", 1), receiver, PAIRS, SOURCE).effect.any()


def read(attention: Any, letter: str, stream: Tensor) -> Tensor:
    """All heads' queries, keys or values."""
    W, bias = (getattr(attention, f"{kind}_{letter.upper()}") for kind in "Wb")
    return torch.einsum("bpd,hde->bphe", stream, W) + (0 if bias is None else bias)


def by_hand(model: Any, told: dict[str, Tensor], layer: int = 1, head: int = 2) -> Tensor:
    """Logits when one head alone is given some of its queries, keys and values."""

    def give(activation: Tensor, hook: Any) -> Tensor:
        changed = activation.clone()
        changed[:, :, head] = told[hook.name[-1]][:, :, head]
        return changed

    hooks = [(f"blocks.{layer}.attn.hook_{letter}", give) for letter in told]
    return model.run_with_hooks(PAIRS, fwd_hooks=hooks)


@pytest.mark.parametrize("norm", [None, "LN"])
@pytest.mark.parametrize("head_input", ["query", "key", "value"])
def test_from_head_to_head(head_input: str, norm: str | None) -> None:
    """The residual stream before the second layer, with the first head's change alone."""
    model = transformer(normalization_type=norm)
    first, second = model.blocks
    clean, other = (model.run_with_cache(pairs)[1] for pairs in (PAIRS, SOURCE))
    z = (other["blocks.0.attn.hook_z"] - clean["blocks.0.attn.hook_z"])[:, :, 0]
    stream = clean["blocks.1.hook_resid_pre"] + z @ first.attn.W_O[0]
    seen = stream if norm is None else second.ln1(stream)
    letter = head_input[0]
    told = read(second.attn, letter, seen)
    found = probes.path_patching(
        model, ("heads.0", 0), ("heads.1", 2), PAIRS, SOURCE, head_input=head_input
    )
    assert found.received is not None
    torch.testing.assert_close(found.received, told[:, :, 2], rtol=0, atol=1e-10)
    torch.testing.assert_close(found.logits, by_hand(model, {letter: told}), rtol=0, atol=1e-10)
    assert found.effect.abs().max() > 1e-3


def test_a_head_receives_by_all_its_inputs_at_once() -> None:
    model = transformer(act_fn="gelu")  # no neuron is dead
    clean, other = (model.run_with_cache(pairs)[1] for pairs in (PAIRS, SOURCE))
    post = other["blocks.0.mlp.hook_post"] - clean["blocks.0.mlp.hook_post"]
    first, second = model.blocks
    change = torch.zeros_like(post)
    change[:, 1, 3] = post[:, 1, 3]  # neuron 3 at position 1
    stream = clean["blocks.1.hook_resid_pre"] + change @ first.mlp.W_out
    told = {letter: read(second.attn, letter, stream) for letter in "qkv"}
    found = probes.path_patching(
        model, ("neurons.0", 3), ("heads.1", 2), PAIRS, SOURCE, positions=[1]
    )
    torch.testing.assert_close(found.logits, by_hand(model, told), rtol=0, atol=1e-10)
    assert found.received is not None
    assert found.received.shape == (len(PAIRS), 3, D_HEAD)
    assert found.effect.abs().max() > 1e-3


def test_to_the_logits_go_only_direct_paths() -> None:
    model = transformer()
    clean, other = (model.run_with_cache(pairs)[1] for pairs in (PAIRS, SOURCE))
    z = (other["blocks.0.attn.hook_z"] - clean["blocks.0.attn.hook_z"])[:, -1, 1]
    expected = z @ model.blocks[0].attn.W_O[1] @ model.W_U
    found = probes.path_patching(model, ("heads.0", 1), None, PAIRS, SOURCE)
    torch.testing.assert_close(found.effect, expected, rtol=0, atol=1e-10)
    assert found.received is None


def test_frequencies_of_the_embedding_send() -> None:
    model = network(gi.EmbeddingMLPConfig(d_embed=6, hidden=(10, 8), combine="sum", act="relu"))
    spectrum = torch.fft.rfft(model.W_E[:P], dim=0)
    keep = torch.zeros(len(spectrum), 1, dtype=torch.float64)
    keep[2] = 1  # unit 1 is the frequency 2
    part = torch.fft.irfft(spectrum * keep, n=P, dim=0)
    change = part[SOURCE].sum(dim=1) - part[PAIRS].sum(dim=1)
    layer = model.layers[0]
    pre = (model.W_E[PAIRS].sum(dim=1) + change) @ layer.W_in + layer.b_in
    found = probes.path_patching(model, ("frequencies", 1), ("neurons.0", 4), PAIRS, SOURCE)
    assert found.received is not None
    torch.testing.assert_close(found.received, pre[:, 4].relu(), rtol=0, atol=1e-12)
    direct = probes.path_patching(model, ("frequencies", 1), ("neurons.1", 4), PAIRS, SOURCE)
    assert not direct.effect.any()


def cell(model: gi.HookedLSTM, layer: int, x: Tensor, h: Tensor, unit: int) -> Tensor:
    """One hidden unit at every step [pair, step], from given inputs and given states of all."""
    weights = {
        name: getattr(model.lstm, f"{name}_l{layer}")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    rows = [k * 8 + unit for k in range(4)]
    c, found = torch.zeros(len(x), dtype=torch.float64), []
    for t in range(x.shape[1]):
        before = h[:, t - 1] if t else torch.zeros_like(h[:, 0])
        gates = x[:, t] @ weights["weight_ih"][rows].T + before @ weights["weight_hh"][rows].T
        i, f, g, o = (gates + (weights["bias_ih"] + weights["bias_hh"])[rows]).unbind(dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        found.append(o.sigmoid() * c.tanh())
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("positions", [None, [0]])
@pytest.mark.parametrize("layer", [0, 1])
def test_hidden_units_of_an_lstm(layer: int, positions: list[int] | None) -> None:
    """To a unit of the same layer, at the next step, and to one of the next layer."""
    model = network(gi.LSTMConfig(d_embed=6, d_hidden=8))
    clean, other = (model.run_with_cache(pairs)[1] for pairs in (PAIRS, SOURCE))
    states = torch.stack([clean[f"layers.0.steps.{t}.hook_h"] for t in range(3)], dim=1)
    sent = torch.stack([other[f"layers.0.steps.{t}.hook_h"] for t in range(3)], dim=1)
    patched = states.clone()
    for t in range(3) if positions is None else positions:
        patched[:, t, 3] = sent[:, t, 3]
    if layer:
        own = torch.stack([clean[f"layers.1.steps.{t}.hook_h"] for t in range(3)], dim=1)
        told = cell(model, 1, patched, own, 5)
    else:
        told = cell(model, 0, clean["hook_embed"], patched, 5)
    found = probes.path_patching(
        model, ("hidden.0", 3), (f"hidden.{layer}", 5), PAIRS, SOURCE, positions=positions
    )
    assert found.received is not None
    torch.testing.assert_close(found.received, told, rtol=0, atol=1e-12)
    names = [f"layers.{layer}.steps.{t}.hook_h" for t in range(3)]
    cache = {name: clean[name].clone() for name in names}
    for t, name in enumerate(names):
        cache[name][:, 5] = told[:, t]
    hooks = gi.patch(cache, [f"hidden.{layer}"], chosen=[5])
    expected = model.run_with_hooks(PAIRS, fwd_hooks=hooks)
    torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-12)
    assert found.effect.abs().max() > 1e-4


def test_a_gate_tells_its_own_hidden_unit_alone() -> None:
    model = network(gi.LSTMConfig(d_embed=6, d_hidden=8))
    clean, other = (model.run_with_cache(pairs)[1] for pairs in (PAIRS, SOURCE))
    c, told = torch.zeros(len(PAIRS), dtype=torch.float64), []
    for t in range(3):
        gates = {k: clean[f"layers.0.steps.{t}.hook_{k}"][:, 3] for k in "fgo"}
        i = other[f"layers.0.steps.{t}.hook_i"][:, 3]
        c = gates["f"] * c + i * gates["g"]
        told.append(gates["o"] * c.tanh())
    found = probes.path_patching(model, ("gate_i.0", 3), ("hidden.0", 3), PAIRS, SOURCE)
    assert found.received is not None
    torch.testing.assert_close(found.received, torch.stack(told, dim=1), rtol=0, atol=1e-12)
    assert found.effect.abs().max() > 1e-4
    for receiver in (("hidden.0", 4), ("hidden.1", 3), ("gate_f.0", 3)):
        nothing = probes.path_patching(model, ("gate_i.0", 3), receiver, PAIRS, SOURCE)
        assert not nothing.effect.any()


@pytest.mark.parametrize("head_input", ["query", "key", "value"])
def test_a_model_of_transformer_lens(head_input: str) -> None:
    """What their ``get_act_patch_direct_path`` adds, which has no hook to add it to in this one."""
    sizes = {"n_layers": 3, "d_model": 12, "n_heads": HEADS, "d_head": D_HEAD}
    model = native_transformer(P, **sizes).double().requires_grad_(False)
    rng = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.copy_(0.4 * torch.randn(weight.shape, generator=rng, dtype=torch.float64))
    tokens, source = (
        torch.cat([pairs, torch.full((len(pairs), 1), P)], dim=1) for pairs in (PAIRS, SOURCE)
    )
    clean, other = (model.run_with_cache(given)[1] for given in (tokens, source))
    z = (other["blocks.0.attn.hook_z"] - clean["blocks.0.attn.hook_z"])[:, :, 1]
    stream = clean["blocks.2.hook_resid_pre"] + z @ model.blocks[0].attn.W_O[1]
    letter = head_input[0]
    told = read(model.blocks[2].attn, letter, stream)
    name = f"blocks.2.attn.hook_{letter}"
    changed = clean[name].clone()
    changed[:, :, 2] = told[:, :, 2]
    expected = model.run_with_hooks(tokens, fwd_hooks=gi.patch({name: changed}, [name]))[:, -1]
    found = probes.path_patching(
        probes.network_on_pairs(model, p=P, prompt="a b ="),
        ("heads.0", 1),
        ("heads.2", 2),
        PAIRS,
        SOURCE,
        head_input=head_input,
    )
    torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-10)
    assert found.effect.abs().max() > 1e-3


@pytest.mark.usefixtures("no_type_checker")
def test_paths_that_there_are_not_are_refused() -> None:
    model = transformer()
    ask: Any = lambda sender, receiver, **more: probes.path_patching(  # noqa: E731
        model, sender, receiver, PAIRS, SOURCE, **more
    )
    for sender, receiver in [
        (("neurons.1", 0), ("neurons.0", 0)),
        (("neurons.0", 0), ("neurons.0", 1)),
        (("heads.0", 0), ("heads.0", 0)),
        (("neurons.0", 1), ("heads.0", 1)),
    ]:
        with pytest.raises(ValueError, match=r"does not come after sender=.* In order: frequenc"):
            ask(sender, receiver)
    with pytest.raises(ValueError, match="does not come after"):
        ask(("heads.1", 0), ("heads.1", 1), head_input="query")
    with pytest.raises(ValueError, match=r"receiver: unit='heads.2', but HookedTransformer has"):
        ask(("heads.0", 0), ("heads.2", 0))
    with pytest.raises(IndexError, match=r"sender=\('heads.0', 3\), but heads.0 has 3 units"):
        ask(("heads.0", 3), ("heads.1", 0))
    with pytest.raises(TypeError, match="sender must be a name of units and an index"):
        ask("heads.0", ("heads.1", 0))
    with pytest.raises(ValueError, match=r"head_input='key' is that of a head, but receiver="):
        ask(("heads.0", 0), ("neurons.1", 0), head_input="key")
    with pytest.raises(ValueError, match="head_input='q' is unknown"):
        ask(("heads.0", 0), ("heads.1", 0), head_input="q")
    with pytest.raises(ValueError, match="they can only send"):
        ask(("heads.0", 0), ("frequencies", 0))
    with pytest.raises(IndexError, match=r"positions contains \[3\]"):
        ask(("heads.0", 0), ("heads.1", 0), positions=[3])
    with pytest.raises(ValueError, match=r"source .* and pairs .* must have the same size"):
        probes.path_patching(model, ("heads.0", 0), None, PAIRS, SOURCE[:3])
    with pytest.raises(ValueError, match="source holds the same examples as pairs"):
        probes.path_patching(model, ("heads.0", 0), None, PAIRS, PAIRS.clone())
    mlp = network(gi.MLPConfig(d_mlp=6, n_layers=2))
    with pytest.raises(ValueError, match=r"positions=\[0\] were asked for, but .* no positions"):
        probes.path_patching(mlp, ("neurons.0", 0), ("neurons.1", 0), PAIRS, SOURCE, positions=[0])
