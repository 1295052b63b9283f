"""Norms inside the MLP against torch.nn's, alone and vectorised over runs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from grokinterp.models import HookedMLP, MLPConfig
from grokinterp.models.norms import BatchNorm
from tests.networks import all_pairs


def shifted_norms(model: HookedMLP) -> HookedMLP:
    """The model with gamma and beta that are not one and zero, so that they show."""
    draw = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if ".norm." in name:
            weight.data += 0.3 * torch.randn(weight.shape, generator=draw).to(weight)
    return model


class Twin(nn.Module):
    """The same network with torch's norms, on one-hot pairs."""

    def __init__(self, model: HookedMLP) -> None:
        super().__init__()
        width, state = model.cfg.d_mlp, model.state_dict()
        kind = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[str(model.cfg.norm)]
        self.p = model.p
        matrices = [state["W_E"].flatten(0, 1)]
        matrices += [state[f"layers.{i}.W_in"] for i in range(1, model.cfg.n_layers)]
        self.matrices = nn.ParameterList(matrix.clone() for matrix in matrices)
        self.norms = nn.ModuleList(kind(width).double() for _ in self.matrices)
        for i, norm in enumerate(self.norms):
            norm.load_state_dict(
                {
                    "weight": state[f"layers.{i}.norm.gamma"],
                    "bias": state[f"layers.{i}.norm.beta"],
                },
                strict=False,
            )
        self.readout = nn.Parameter(state["W_U"].clone())

    def forward(self, tokens: Tensor) -> Tensor:
        x = nn.functional.one_hot(tokens, self.p).flatten(start_dim=1).double()
        for matrix, norm in zip(self.matrices, self.norms, strict=True):
            x = norm(torch.relu(x @ matrix))
        return x @ self.readout


def make(norm: str, seed: int = 1, n_layers: int = 2) -> HookedMLP:
    config = MLPConfig(d_mlp=12, n_layers=n_layers, act="relu", init="standard", norm=norm)
    return shifted_norms(HookedMLP(config, p=7, seed=seed).double())


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_training_and_evaluation_are_torchs(norm: str) -> None:
    """Outputs, gradients and, after batches of several sizes, the running statistics."""
    model, tokens = make(norm), all_pairs(7)
    twin = Twin(model)
    for batch in (tokens[:30], tokens[20:], tokens[:2]):
        torch.testing.assert_close(model(batch), twin(batch), rtol=1e-10, atol=1e-12)
    model(tokens).square().sum().backward()
    twin(tokens).square().sum().backward()
    for i in range(2):
        ours, torchs = model.get_submodule(f"layers.{i}.norm"), twin.norms[i]
        assert ours.gamma is model.get_parameter(f"layers.{i}.norm.gamma")
        torch.testing.assert_close(ours.gamma.grad, torchs.weight.grad, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(ours.beta.grad, torchs.bias.grad, rtol=1e-9, atol=1e-11)
        if norm == "batch":
            for name in ("running_mean", "running_var"):
                ours_now, torchs_now = ours.get_buffer(name), torchs.get_buffer(name)
                torch.testing.assert_close(ours_now, torchs_now, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(model.W_E.grad, twin.matrices[0].grad.view(2, 7, 12))
    torch.testing.assert_close(model.eval()(tokens), twin.eval()(tokens), rtol=1e-10, atol=1e-12)


def test_evaluation_reads_the_running_statistics_and_leaves_them() -> None:
    model, tokens = make("batch"), all_pairs(7)
    model(tokens)
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.eval()
    alone, together = model(tokens[:1]), model(tokens)[:1]
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-13)  # rows do not meet
    assert set(before) == {
        f"layers.{i}.norm.running_{kind}" for i in range(2) for kind in ("mean", "var")
    }
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_hooks_see_the_scale_and_the_output() -> None:
    model, tokens = make("batch", n_layers=1), all_pairs(7)
    _, cache = model.run_with_cache(tokens)
    post = cache["layers.0.hook_post"]
    scale = cache["layers.0.norm.hook_scale"]
    torch.testing.assert_close(scale, (post.var(dim=0, correction=0) + 1e-5).sqrt())
    norm = model.get_submodule("layers.0.norm")
    expected = (post - post.mean(dim=0)) / scale * norm.gamma + norm.beta
    torch.testing.assert_close(cache["layers.0.norm.hook_normalized"], expected)


def test_a_batch_of_one_has_no_variance() -> None:
    model = make("batch")
    with pytest.raises(ValueError, match=r"at least 2 examples, got 1; call \.eval\(\)"):
        model(torch.tensor([[1, 2]]))
    with pytest.raises(ValueError, match="got 0"):
        model(torch.zeros(0, 2, dtype=torch.long))


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_vectorised_training_is_each_run_on_its_own(norm: str) -> None:
    """With vmap over parameters and buffers, running statistics change in the stacked buffers."""
    models = [make(norm, seed=seed) for seed in range(3)]
    tokens = torch.stack([all_pairs(7)[start : start + 20] for start in (0, 10, 25)])
    params = _stack([dict(model.named_parameters()) for model in models])
    buffers = _stack([dict(model.named_buffers()) for model in models])
    template = make(norm, seed=9)

    def loss(params: dict[str, Tensor], buffers: dict[str, Tensor], tokens: Tensor) -> Tensor:
        return _energy(functional_call(template, (params, buffers), (tokens,)))

    template.forward = template.logits  # type: ignore[method-assign]  # the check reads values
    grads, losses = vmap(grad_and_value(loss))(params, buffers, tokens)
    for run, model in enumerate(models):
        expected = _energy(model(tokens[run]))
        expected.backward()
        torch.testing.assert_close(losses[run], expected.detach(), rtol=1e-12, atol=0)
        for name, weight in model.named_parameters():
            torch.testing.assert_close(grads[name][run], weight.grad, rtol=1e-9, atol=1e-10)
        for name, value in model.named_buffers():
            torch.testing.assert_close(buffers[name][run], value, rtol=1e-12, atol=1e-12)


def _stack(states: list[dict[str, Any]]) -> dict[str, Tensor]:
    return {name: torch.stack([s[name].detach() for s in states]) for name in states[0]}


def _energy(logits: Tensor) -> Tensor:
    return logits.square().mean()


def test_statistics_keep_their_dtype_under_low_precision_activations() -> None:
    """Autocast hands the norm bfloat16; its statistics stay what they are."""
    norm, x = BatchNorm(4), torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    norm(x.bfloat16())
    assert norm.running_mean.dtype == norm.running_var.dtype == torch.float32
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(dim=0), rtol=0.02, atol=1e-3)
