"""The trainer's hand-written passes are held to the hooked model and to autograd."""

import pytest
import torch

from grokinterp import DataConfig, HookedMLP, MLPConfig, make_dataset
from grokinterp.losses import LOSSES
from grokinterp.training.passes.mlp_kernel import MLPKernel

P, WIDTH = 11, 16
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
ARCHITECTURES = [
    MLPConfig(d_mlp=WIDTH, act=act, n_layers=depth, init="lazy")
    for act in ("square", "relu", "gelu")
    for depth in (1, 3)
]


pytestmark = pytest.mark.usefixtures("small_blocks")


def _kernel(config: MLPConfig, loss: str, dtype: torch.dtype, low: torch.dtype) -> MLPKernel:
    return MLPKernel(config, P, loss, dtype=dtype, matmul_dtype=low)


def _relative(got: torch.Tensor, want: torch.Tensor) -> float:
    return float((got - want).norm() / want.norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("config", ARCHITECTURES, ids=lambda c: f"{c.act}-{c.n_layers}")
def test_logits_are_the_hooked_models(config: MLPConfig, dtype: torch.dtype) -> None:
    model = HookedMLP(config, p=P, seed=3).to(dtype)
    data = make_dataset(DataConfig(p=P))
    kernel = _kernel(config, "mse", dtype, dtype)
    batch = kernel.batch(data.tokens, data.labels)
    assert len(batch.blocks) > 1
    with torch.no_grad():
        want = model(data.tokens)
        got = torch.cat([block.clone() for _, block in kernel.logits(model.state_dict(), batch)])
    assert _relative(got, want) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("config", ARCHITECTURES, ids=lambda c: f"{c.act}-{c.n_layers}")
def test_gradients_are_autograds(config: MLPConfig, loss: str, dtype: torch.dtype) -> None:
    model = HookedMLP(config, p=P, seed=3).to(dtype)
    data = make_dataset(DataConfig(p=P, train_fraction=0.7, corruption=0.3))
    tokens, labels = data.tokens[data.is_train], data.labels[data.is_train]
    want_loss = LOSSES[loss].per_example(model(tokens), labels).mean()
    want_loss.backward()
    kernel = _kernel(config, loss, dtype, dtype)
    weights = {name: w.detach() for name, w in model.named_parameters()}
    grads = {name: torch.full_like(w, torch.nan) for name, w in weights.items()}
    got_loss = kernel.gradients(weights, grads, kernel.batch(tokens, labels))
    assert _relative(got_loss, want_loss.detach()) < TOLERANCE[dtype]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert _relative(grads[name], parameter.grad) < TOLERANCE[dtype], name


def test_shares_of_a_batch_add_up() -> None:
    config = ARCHITECTURES[0]
    model = HookedMLP(config, p=P).double()
    data = make_dataset(DataConfig(p=P))
    kernel = _kernel(config, "mse", torch.float64, torch.float64)
    weights = {name: w.detach() for name, w in model.named_parameters()}

    def run(pairs: slice) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        grads = {name: torch.empty_like(w) for name, w in weights.items()}
        batch = kernel.batch(data.tokens[pairs], data.labels[pairs], n_total=P * P)
        return kernel.gradients(weights, grads, batch), grads

    whole, first, second = run(slice(None)), run(slice(0, 50)), run(slice(50, None))
    torch.testing.assert_close(first[0] + second[0], whole[0])
    for name in weights:
        torch.testing.assert_close(first[1][name] + second[1][name], whole[1][name])


@pytest.mark.parametrize("config", ARCHITECTURES, ids=lambda c: f"{c.act}-{c.n_layers}")
def test_bfloat16_products_stay_within_their_precision(config: MLPConfig) -> None:
    model = HookedMLP(config, p=P, seed=3)
    data = make_dataset(DataConfig(p=P, corruption=0.3))
    weights = {name: w.detach() for name, w in model.named_parameters()}
    grads = []
    for low in (torch.float32, torch.bfloat16):
        kernel = _kernel(config, "mse", torch.float32, low)
        out = {name: torch.empty_like(w) for name, w in weights.items()}
        kernel.gradients(weights, out, kernel.batch(data.tokens, data.labels))
        assert all(grad.dtype == torch.float32 for grad in out.values())
        grads.append(out)
    # bfloat16 keeps 8 bits: one rounding is 2 ** -9. A few add up in every layer, and a square
    # doubles those of the layers before it.
    bound = {1: 1e-2, 3: 4e-2}[config.n_layers]
    for name in weights:
        assert 1e-5 < _relative(grads[1][name], grads[0][name]) < bound, name


def test_gradients_are_equation_nine() -> None:
    """Doshi et al. 2023, eq. 9, rebuilt; sums written out over pairs."""
    config = MLPConfig(d_mlp=5)
    model = HookedMLP(config, p=P).double()
    data = make_dataset(DataConfig(p=P, corruption=0.4))
    train = data.is_train
    (a, b), y = data.tokens[train].T, data.labels[train]
    U, V = model.W_E.detach()
    W = model.W_U.detach()
    f = (U[a] + V[b]).square() @ W
    bracket = f - torch.nn.functional.one_hot(y, P)
    n = len(y)
    want_W = 2 / (n * P) * torch.einsum("dk,dq->kq", (U[a] + V[b]) ** 2, bracket)
    pre, with_a = U[a] + V[b], [a == i for i in range(P)]
    slopes = [torch.einsum("dq,kq,dk->k", bracket[rows], W, pre[rows]) for rows in with_a]
    want_U = 4 / (n * P) * torch.stack(slopes)
    kernel = _kernel(config, "mse", torch.float64, torch.float64)
    grads = {"W_E": torch.empty(2, P, 5).double(), "W_U": torch.empty(5, P).double()}
    kernel.gradients(model.state_dict(), grads, kernel.batch(data.tokens[train], y))
    torch.testing.assert_close(grads["W_U"], want_W)
    torch.testing.assert_close(grads["W_E"][0], want_U)
