"""Networks that are not ours, to be wrapped; and how their parts are named."""

from typing import Any

import torch
from torch import Tensor, nn

P = 11


def relu_mlp() -> Any:
    return seeded(nn.Linear(2 * P, 12), nn.ReLU(), nn.Linear(12, P))


def seeded(*layers: nn.Module) -> Any:
    """A Sequential in float64 with all weights from N(0, 1/4)."""
    net, rng = nn.Sequential(*layers).double(), torch.Generator().manual_seed(0)
    for weight in net.parameters():
        weight.data.normal_(0.0, 0.5, generator=rng)
    return net.eval()


class Functional(nn.Module):
    """Activations as functions, and one class more than there are residues."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.fc1, self.fc2 = (
            nn.Embedding(P + 1, 8),
            nn.Linear(24, 12),
            nn.Linear(12, P + 1),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(torch.relu(self.fc1(self.embed(tokens).flatten(start_dim=1))))


MLP: dict[str, Any] = {"first": "0", "neurons": "1", "readout": "2", "inputs": "one-hot"}
