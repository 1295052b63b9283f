"""The state of many runs of one architecture, independent of how gradients are computed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.checkpoints import Checkpoint
from grokinterp.config import RunConfig, build_model
from grokinterp.data import Dataset, make_dataset
from grokinterp.models.base import HookedModel
from grokinterp.training.evaluation import Evaluation
from grokinterp.training.noise import Noise
from grokinterp.training.resources import Resources


class StackState:
    """Weights, buffers, gradients and losses of many runs of one architecture, with their data.

    ``weights`` is [run, parameter]. ``grads`` is [share, run, parameter] and ``losses`` is
    [share, run]: if the examples of a run are divided among cores, each share holds its part of the
    sum. ``buffers`` maps names to [run, ...] (running statistics of batch norms).

    Args:
        configs: one per run, all with the same program (see ``plan``).
        resources: device and precision.
        start: the checkpoint each run starts from, or None for weights drawn from its seed.
        shares: number of parts into which each run's examples are divided.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        resources: Resources,
        *,
        start: Sequence[Checkpoint | None],
        shares: int = 1,
    ) -> None:
        self.dtype, self.matmul_dtype = resources.dtype, resources.matmul_dtype
        self.exact_products = resources.exact_products
        self.configs, self.device = configs, resources.place
        drawn = {data: make_dataset(data) for data in {config.data for config in configs}}
        self.datasets: list[Dataset] = [drawn[config.data] for config in configs]
        rows, buffers = [], []
        for config, checkpoint in zip(configs, start, strict=True):
            model: HookedModel = build_model(config)
            if checkpoint is not None:
                model.adopt(dict(checkpoint.state))
            self.shapes = {name: weight.shape for name, weight in model.named_parameters()}
            flat = torch.cat([weight.detach().flatten() for weight in model.parameters()])
            rows.append(flat.to(self.device, self.dtype))
            buffers.append(buffers_of(model))
        self.weights = torch.stack(rows)
        del rows
        self.buffers = {
            name: torch.stack([one[name] for one in buffers]).to(self.device, self.dtype)
            for name in buffers[0]
        }
        self.grads = torch.zeros(shares, *self.weights.shape, dtype=self.dtype, device=self.device)
        self.losses = torch.zeros(shares, len(configs), dtype=self.dtype, device=self.device)
        sizes = [shape.numel() for shape in self.shapes.values()]
        self.noise = Noise(configs, self.weights, sizes)
        loss = configs[0].training.loss
        self.evaluation = Evaluation(self.datasets, loss, device=self.device)

    def named(self, rows: Float[Tensor, "*stack n"]) -> dict[str, Tensor]:
        """Split flat parameters [..., parameter] into views [..., *shape], keyed by name."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        pieces = rows.split(sizes, dim=-1)
        return {
            name: piece.unflatten(-1, shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def state_dict(self, run: int) -> dict[str, Tensor]:
        """The ``state_dict`` of one run's model, copied to the CPU."""
        buffers = {name: buffer[run].cpu().clone() for name, buffer in self.buffers.items()}
        return self.named(self.weights[run].cpu().clone()) | buffers

    @contextmanager
    def products(self) -> Iterator[None]:
        """Context manager that sets the stack's precision of matrix products, by autocast."""
        low = self.matmul_dtype != self.dtype
        dtype = self.matmul_dtype if low else torch.bfloat16
        with torch.autocast(self.device.type, dtype, enabled=low, cache_enabled=False):
            yield


def buffers_of(model: HookedModel) -> dict[str, Tensor]:
    """The tensors of a model's ``state_dict`` that are not parameters, keyed by name."""
    parameters = {name for name, _ in model.named_parameters()}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in parameters}
