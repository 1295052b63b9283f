"""One training step of the second paper's LSTM (2 layers of 128, p 97, alpha 0.5, two threads).

On the full batch and on 512 pairs, each with cross-entropy and torch's AdamW. Baselines, timed in
turn with the subject: ``nn.Embedding``, ``nn.LSTM`` and ``nn.Linear`` on the same tokens, and the
hooked network's own computation without its hook points.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import grokinterp as gi
from grokinterp.models.lstm import HookedLSTM, LSTMConfig

P = 97


class Plain(nn.Module):
    """The network as everyone writes it."""

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(P + 1, config.d_embed)
        self.lstm = nn.LSTM(config.d_embed, config.d_hidden, config.n_layers, batch_first=True)
        self.unembed = nn.Linear(config.d_hidden, P, bias=False)

    def forward(self, sentences: Tensor) -> Tensor:
        return self.unembed(self.lstm(self.embed(sentences))[0][:, -1])


class Bare(HookedLSTM):
    """Without the questions that the hook points cost."""

    @property
    def is_hooked(self) -> bool:
        """Never asked."""
        return False


def step(model: nn.Module, inputs: Tensor, labels: Tensor) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98))

    def update() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    return update


@pytest.mark.parametrize("batch", [4704, 512])
def test_step(batch: int, compare: Callable[..., None]) -> None:
    config, data = LSTMConfig(), gi.make_dataset(gi.DataConfig(p=P, train_fraction=0.5))
    pairs, labels = (x[data.is_train][:batch] for x in (data.tokens, data.labels))
    sentences = torch.cat([pairs, torch.full((batch, 1), P)], dim=1)
    subject, bare, plain = HookedLSTM(config, p=P), Bare(config, p=P), Plain(config)
    bare.hook_logits = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    compare(
        step(subject, pairs, labels),
        {
            "nn.LSTM": step(plain, sentences, labels),
            "no hook points": step(bare, pairs, labels),
        },
        burst=max(1, 1500 // batch),
    )
