"""What is read off networks of several makers: shapes, positions, modes, refusals."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

import grokinterp as gi
from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.hooked_module import HookedModule
from grokinterp.models.lstm import HookedLSTM, LSTMConfig
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from probes import gradient_symmetricity, network_on_pairs
from tests.networks import all_pairs, native_transformer
from tests.tolerance import assert_agree

P = 5
PAIRS = all_pairs(P)


def mlp(**changes: Any) -> gi.HookedMLP:
    return gi.HookedMLP(gi.MLPConfig(**{"d_mlp": 6, "n_layers": 2, "act": "relu"} | changes), p=P)


def transformer(**changes: Any) -> HookedTransformer:
    config: dict[str, Any] = {"d_model": 8, "n_heads": 2, "d_mlp": 16, "d_vocab": 9}
    config |= {"d_vocab_out": 8}
    return HookedTransformer(TransformerConfig(**config | changes), p=P)


def lstm() -> HookedLSTM:
    return HookedLSTM(LSTMConfig(d_embed=6, d_hidden=7, prompt="a b ="), p=P)


def embedding_mlp() -> HookedEmbeddingMLP:
    return HookedEmbeddingMLP(EmbeddingMLPConfig(d_embed=6, hidden=(7, 8), prompt="a + b ="), p=P)


@pytest.mark.parametrize("make", [mlp, transformer, lstm, embedding_mlp])
def test_logits_are_the_networks_own(make: Any) -> None:
    model = make()
    network = network_on_pairs(model)
    assert torch.equal(network.pairs, PAIRS)
    found = network.logits()
    assert found.dtype == torch.float64
    assert not found.requires_grad
    # Not bit for bit: torch's LSTM has a kernel of its own where no gradient is asked for.
    expected = model.eval()(PAIRS)[:, :P].detach().double()
    # The longest of these computations, a transformer's, has sums of about 200 terms in all.
    assert_agree(found, expected, n_terms=200, dtype=torch.float32)
    assert network_on_pairs(network) is network


def test_transformer_lens_own_model() -> None:
    model = native_transformer(P)
    network = network_on_pairs(model, p=P, prompt="a b =")
    tokens = torch.cat([PAIRS, torch.full((25, 1), P)], dim=1)
    with torch.no_grad():
        logits, cache = model.run_with_cache(tokens)
    assert torch.equal(network.logits(), logits[:, -1].double())
    post = cache["blocks.0.mlp.hook_post"].double()
    assert torch.equal(network.activations("blocks.0.mlp.hook_post"), post[:, -1])
    assert torch.equal(network.activations("blocks.0.mlp.hook_post", position=1), post[:, 1])
    assert torch.equal(network.neurons("blocks.0.mlp.hook_post"), post[:, -1].view(P, P, 16))
    pattern = cache["blocks.0.attn.hook_pattern"].double()
    assert torch.equal(network.activations("blocks.0.attn.hook_pattern"), pattern[:, :, -1])
    assert network.neuron_hooks == ("blocks.0.mlp.hook_post",)
    assert torch.equal(network.embeddings["W_E"], model.W_E.detach()[:P].double())
    assert network.unembedding is not None
    assert torch.equal(network.unembedding, model.W_U.detach().double())


@pytest.mark.parametrize(
    ("make", "hooks"),
    [
        (mlp, {"layers.0.hook_post": 6, "layers.1.hook_post": 6}),
        (transformer, {"blocks.0.mlp.hook_post": 16}),
        (lstm, {"layers.0.steps.2.hook_h": 7, "layers.1.steps.2.hook_h": 7}),
        (embedding_mlp, {"layers.0.hook_post": 7, "layers.1.hook_post": 8}),
    ],
)
def test_neurons_of_our_networks(make: Any, hooks: dict[str, int]) -> None:
    model = make()
    network = network_on_pairs(model)
    assert network.neuron_hooks == tuple(hooks)
    _, cache = model.run_with_cache(PAIRS)
    for hook, width in hooks.items():
        value = cache[hook].detach().double()
        if value.ndim == 3:
            value = value[:, -1]
        assert torch.equal(network.neurons(hook), value.view(P, P, width))


def test_tables_of_our_networks() -> None:
    model = mlp()
    network = network_on_pairs(model)
    assert list(network.embeddings) == ["W_E[0]", "W_E[1]"]
    assert torch.equal(network.embeddings["W_E[1]"], model.W_E[1].detach().double())
    for model in (transformer(), lstm(), embedding_mlp()):
        network = network_on_pairs(model)
        (table,) = network.embeddings.values()
        assert torch.equal(table, model.W_E.detach()[:P].double())
        assert network.unembedding is not None
        assert torch.equal(network.unembedding, model.W_U.detach()[:, :P].double())


def test_operands_are_no_positions() -> None:
    assert network_on_pairs(mlp()).activations("hook_embed").shape == (25, 2, 6)
    assert network_on_pairs(transformer()).activations("hook_embed").shape == (25, 8)
    assert network_on_pairs(transformer()).activations("blocks.0.attn.hook_z").shape == (25, 2, 4)
    # Three heads and three positions: the pattern's second axis is still that of heads.
    model = transformer(n_heads=3, d_model=9)
    _, cache = model.run_with_cache(PAIRS)
    pattern = cache["blocks.0.attn.hook_pattern"].detach().double()
    found = network_on_pairs(model).activations("blocks.0.attn.hook_pattern", position=1)
    assert torch.equal(found, pattern[:, :, 1])


def test_more_pairs_than_one_pass_takes() -> None:
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=3), p=67)
    network = network_on_pairs(model)
    logits = model(network.pairs).detach().double()
    terms = 2 * (2 + 3)  # two tables, three neurons; the square doubles the error
    assert_agree(network.logits(), logits, n_terms=terms, dtype=torch.float32)
    assert network.activations("layers.0.hook_post").shape == (67 * 67, 3)


def test_the_network_is_left_as_it_was_found() -> None:
    model = mlp(norm="batch")
    model(PAIRS)  # running statistics that are not the initial ones
    model.train()
    model.layers[0].eval()
    modes = {name: module.training for name, module in model.named_modules()}
    state = copy.deepcopy(model.state_dict())
    network = network_on_pairs(model)
    network.logits()
    network.activations("layers.1.hook_post")
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(point.fwd_hooks for point in model.hook_dict.values())
    # Evaluation mode: the running statistics are used.
    assert torch.equal(network.logits(), copy.deepcopy(model).eval()(PAIRS).detach().double())


def test_modes_are_given_back_after_an_error() -> None:
    def fail(value: Tensor, hook: HookPoint) -> None:
        raise RuntimeError("from a hook")

    model = mlp().train()
    model.add_hook("layers.0.hook_post", fail)
    with pytest.raises(RuntimeError, match="from a hook"):
        network_on_pairs(model).logits()
    assert model.training


def test_hooks_that_the_model_carries_are_kept() -> None:
    model = mlp()
    model.add_hook("layers.1.hook_post", lambda value, hook: 0 * value)
    network = network_on_pairs(model)
    assert not network.logits().any()
    assert not network.activations("layers.1.hook_post").any()
    assert not network.logits().any()


class Stranger(HookedRootModule):
    """Somebody's own network on pairs, with nothing but hooks."""

    def __init__(self, classes: int = P) -> None:
        super().__init__()
        self.net = nn.Linear(2, classes)
        self.hook_mid = HookPoint()
        self.hook_size = HookPoint()
        self.setup()

    def forward(self, tokens: Tensor) -> Tensor:
        self.hook_size(torch.ones(3))
        return self.hook_mid(self.net(tokens.float()))


def test_any_object_with_hooks() -> None:
    model = Stranger()
    network = network_on_pairs(model, p=P, prompt="a b")
    expected = model(PAIRS).detach().double()
    assert torch.equal(network.logits(), expected)
    assert torch.equal(network.activations("hook_mid"), expected)
    assert network.neuron_hooks == ()
    assert network.unembedding is None
    with pytest.raises(TypeError, match="Stranger has no tensor W_E"):
        _ = network.embeddings
    with pytest.raises(ValueError, match=r"hook_size has shape \[3\] for 25 pairs"):
        network.activations("hook_size")


def test_a_wrapped_module_of_your_own() -> None:
    net = nn.Sequential(nn.Embedding(P + 1, 4), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, P))
    network = network_on_pairs(HookedModule(net, p=P, prompt="a = b"))
    tokens = torch.stack([PAIRS[:, 0], torch.full((25,), P), PAIRS[:, 1]], dim=1)
    hidden = net[:3](tokens).detach().double()
    assert torch.equal(network.logits(), net(tokens)[:, -1].detach().double())
    assert torch.equal(network.neurons("2.hook_out"), hidden[:, -1].view(P, P, 6))
    assert torch.equal(network.activations("2.hook_out", position=0), hidden[:, 0])
    assert network.neuron_hooks == ()


def test_a_transformer_that_was_not_told_its_task() -> None:
    config = TransformerConfig(n_layers=1, d_model=8, n_heads=2, d_vocab=P + 1, n_ctx=3)
    model = HookedTransformer(config)
    network = network_on_pairs(model, p=P, prompt="a b =")
    tokens = torch.cat([PAIRS, torch.full((25, 1), P)], dim=1)
    assert torch.equal(network.logits(), model(tokens)[:, -1, :P].detach().double())


@pytest.mark.parametrize("missing", ["run_with_cache", "hook_dict"])
def test_a_missing_attribute_is_named(missing: str) -> None:
    surfaces: dict[str, Any] = {"run_with_cache": None, "hook_dict": {}}
    del surfaces[missing]
    model = type("Bare", (SimpleNamespace,), {"__call__": lambda self, tokens: tokens})(**surfaces)
    with pytest.raises(TypeError, match=f"Bare has no {missing}; probes need TransformerLens"):
        network_on_pairs(model, p=P, prompt="a b")
    with pytest.raises(TypeError, match="SimpleNamespace has no __call__"):
        network_on_pairs(SimpleNamespace(run_with_cache=None, hook_dict={}), p=P, prompt="a b")


@pytest.mark.parametrize("task", [{}, {"p": P}, {"prompt": "a b"}])
def test_a_model_that_does_not_know_its_task_needs_one(task: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="does not know its task: give p and prompt"):
        network_on_pairs(Stranger(), **task)


def test_a_model_that_knows_its_task_is_not_told_another() -> None:
    with pytest.raises(ValueError, match=r"p=7, but HookedMLP was made for p=5"):
        network_on_pairs(mlp(), p=7)
    with pytest.raises(TypeError, match="knows its prompt; leave prompt out"):
        network_on_pairs(mlp(), prompt="a b")
    with pytest.raises(TypeError, match="belong to the NetworkOnPairs already"):
        network_on_pairs(network_on_pairs(mlp()), p=P)
    assert network_on_pairs(mlp(), p=P).p == P


def test_vocabularies_and_classes_that_disagree_are_refused() -> None:
    needs = r"W_E \[6, 8\], but a task with p=7 needs .* vocabulary of at least 8"
    with pytest.raises(ValueError, match=needs):
        network_on_pairs(native_transformer(P), p=7, prompt="a b =")
    # "+" and "=" are two symbols, but there is one token beside the residues.
    with pytest.raises(ValueError, match="vocabulary of at least 7"):
        network_on_pairs(native_transformer(P, n_ctx=4), p=P, prompt="a + b =")
    with pytest.raises(ValueError, match="Stranger has 4 classes, but a task with p=5 needs at"):
        network_on_pairs(Stranger(classes=4), p=P, prompt="a b").logits()
    few = native_transformer(P, d_vocab_out=4)
    with pytest.raises(ValueError, match="has 4 classes"):
        network_on_pairs(few, p=P, prompt="a b =").logits()
    with pytest.raises(ValueError, match=r"W_U \[8, 4\], but a task with p=5 needs"):
        _ = network_on_pairs(few, p=P, prompt="a b =").unembedding


def test_bad_hooks_and_positions_are_refused() -> None:
    network = network_on_pairs(transformer())
    with pytest.raises(ValueError, match=r"'blocks.0.mlp.hook_pst' is no hook .* Nearest: blocks"):
        network.activations("blocks.0.mlp.hook_pst")
    with pytest.raises(ValueError, match="position=3 is not in the sequence; it has 3 positions"):
        network.activations("blocks.0.mlp.hook_post", position=3)
    with pytest.raises(ValueError, match=r"position=0 .* layers.0.hook_post \[25, 6\] has no pos"):
        network_on_pairs(mlp()).activations("layers.0.hook_post", position=0)


@pytest.mark.parametrize("mode", ["mean", "resample"])
def test_an_ablation_that_looks_at_the_batch_sees_all_pairs(mode: str) -> None:
    """P 67 has more pairs than one batch of a probe."""
    model = gi.HookedMLP(gi.MLPConfig(d_mlp=4, init="lazy"), p=67).double()
    hooks = gi.ablate([0, 2], mode=mode)
    want = model.run_with_hooks(network_on_pairs(model).pairs, fwd_hooks=hooks).detach()
    with model.hooks(fwd_hooks=hooks):
        torch.testing.assert_close(network_on_pairs(model).logits(), want)
        post = network_on_pairs(model).activations("layers.0.hook_post")
    torch.testing.assert_close(post @ model.W_U.detach(), want)


def test_what_a_probe_replaces_by_a_mean_carries_no_gradient() -> None:
    config = TransformerConfig(d_model=8, n_heads=2, d_mlp=6)
    model = HookedTransformer(config, p=7).double()
    rng = torch.Generator().manual_seed(0)
    for weight in model.parameters():  # large, so that the neurons matter to the gradient
        weight.data.normal_(generator=rng)
    values = {}
    for mode in ("zero", "mean", "resample"):
        with model.hooks(fwd_hooks=gi.ablate([0, 1, 2], mode=mode)):
            values[mode] = gradient_symmetricity(model).value
    assert values["mean"] == pytest.approx(values["zero"])  # constants, whatever their value
    assert values["resample"] == pytest.approx(values["zero"])
    assert gradient_symmetricity(model).value != pytest.approx(values["zero"])


def test_a_hook_point_through_which_nothing_passes_is_refused() -> None:
    class Idle(gi.HookedMLP):
        def __init__(self) -> None:
            super().__init__(gi.MLPConfig(d_mlp=4), p=5)
            self.hook_idle = HookPoint()
            self.setup()

    with pytest.raises(ValueError, match="hook_idle exists, but nothing passes through it"):
        network_on_pairs(Idle()).activations("hook_idle")


def test_a_model_made_elsewhere_lists_its_neurons_and_heads() -> None:
    model = network_on_pairs(native_transformer(P), p=P, prompt="a b =")
    units = model.units
    config = model.model.cfg
    counts = {name: unit.count for name, unit in units.items()}
    assert counts == {"heads.0": config.n_heads, "neurons.0": config.d_mlp}
    every = torch.ones(config.n_heads, dtype=torch.bool)
    silent = model.run(model.pairs, gi.ablate(every, unit="heads.0"))
    assert not torch.allclose(silent, model.run(model.pairs))
