"""The second paper's three networks and their training, at its own size and at two smaller ones.

"published": the paper's own code: modulus 97, 239 tokens, its widths, loss, optimiser, batches and
steps. The weight decay is known for some figures only (0.1 for the MLP of Figs. 6 and 7); we use
0.1 for all. Only the answer c is scored, not the end token after it.

"small": trained on two cores in minutes. Modulus 43, half the widths, one transformer layer instead
of two, the same batch as a share of all pairs, no unused tokens, 3 times the learning rate (LSTM: 6
times) and weight decay 1 (LSTM: 0.5), so that networks generalise after one or two thousand steps
instead of tens of thousands. These are the first settings of a coarse scan with which three seeds
generalised. The MLP is trained on cross-entropy like the others: with the paper's squared error on
the softmax it memorises so late that it hardly groks, at the published size too. The transformer
has no norms, learned positions and small initial weights, twice the learning rate, weight decay 0.5
and 6000 steps: with the paper's norms its accuracy jumps up and down after grokking, and this is
the setting of a search (``stability``) with which three seeds grok and stay grokked.

"tiny": toys that grok in about a second each, to see what a command does. Modulus 29, widths of 32,
the prompt "a b", full batches, high learning rates and 300 steps, chosen as for the small MLP. The
transformer has no norms either, because toys with the paper's do not finish learning. On 70 % of
the pairs three seeds of each network generalise after memorising; on 30 % none does.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import grokinterp as gi
from grokinterp.checks import check_choice
from grokinterp.sweeps.collect import Named, folder_name

SIZES = ("tiny", "small", "published")
NETWORKS = ("transformer", "lstm", "mlp")
SEEDS = 3

_P = {"tiny": 29, "small": 43, "published": 97}
_BATCH, _PAIRS = 512, 97**2  # the paper's
_TRAINING: dict[str, dict[str, Any]] = {
    "tiny": {"steps": 300, "lr": 2e-2, "weight_decay": 2.0, "eval_every": 5},
    "small": {"steps": 3000, "lr": 3e-3, "weight_decay": 1.0, "eval_every": 25},
    "published": {"steps": 100_000, "lr": 1e-3, "weight_decay": 0.1, "eval_every": 200},
}
_LOSS = {"transformer": "cross_entropy", "lstm": "cross_entropy", "mlp": "mse_softmax"}
# Training settings of one network at one size that differ from the others'.
_OWN: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {"transformer": {"weight_decay": 1.0}, "mlp": {"loss": "cross_entropy"}},
    "small": {
        "transformer": {"steps": 6000, "lr": 2e-3, "weight_decay": 0.5},
        "lstm": {"lr": 6e-3, "weight_decay": 0.5},
        "mlp": {"loss": "cross_entropy"},
    },
}
_COMPACT: dict[str, Any] = {"d_vocab": None, "d_vocab_out": None}  # the tokens that occur
_WIDTH = {"tiny": 32, "small": 64}
_PLAIN: dict[str, Any] = {  # of smaller transformers
    "normalization_type": None,
    "norm_position": "pre",
    "init": "nanda",
    "positional_embedding_type": "standard",
}


def network(name: str, size: str) -> gi.RunConfig:
    """The config of one of the paper's networks, trained on half of the pairs of modular addition.

    Args:
        name: one of ``NETWORKS``.
        size: one of ``SIZES``; "tiny" is a toy for trying things out.
    """
    check_choice("name", name, NETWORKS)
    check_choice("size", size, SIZES)
    training = {"loss": _LOSS[name], "warmup_steps": 10} | _TRAINING[size]
    training |= _OWN.get(size, {}).get(name, {})
    if size != "tiny":
        training["batch_size"] = _BATCH
    config = gi.RunConfig(
        data=gi.DataConfig(operation="addition", p=_P[size]),
        model=_model(name, size),
        training=gi.TrainConfig(**training),
    )
    return with_fraction(config, 0.5)


def with_fraction(config: gi.RunConfig, fraction: float) -> gi.RunConfig:
    """The config with another train fraction and the batch size that the paper's code uses for it.

    That is 512 pairs, or half of the training pairs if that is fewer. At a modulus other than 97,
    512 becomes the same share of all pairs. Full batches stay full.
    """
    config = config.replace({"data.train_fraction": fraction})
    if config.training.batch_size is None:
        return config
    most = round(_BATCH * config.data.p**2 / _PAIRS)
    return config.replace({"training.batch_size": min(most, -(-config.data.n_train // 2))})


def check_classes(config: gi.RunConfig) -> None:
    """Raise if the training set has fewer pairs than there are classes."""
    data = config.data
    if data.n_train < data.p:
        raise ValueError(
            f"fraction={data.train_fraction} leaves {data.n_train} pairs, fewer than the {data.p} "
            f"classes; use at least {1 / data.p:.3g}"
        )


def seeded(config: gi.RunConfig, seed: int) -> gi.RunConfig:
    """The config with this seed for weights, noise and split.

    With the same seed, a smaller training set is a subset of a larger one.
    """
    return config.replace({"seed": seed, "data.seed": seed})


def grid(
    configs: Mapping[str, gi.RunConfig], fractions: Iterable[float], seeds: int
) -> list[Named]:
    """Every config on every train fraction, with seeds 0, 1, ...; folders "mlp-0.7-seed-1".

    Args:
        configs: by the name that begins the folders' names.
        fractions: of all pairs, to train on.
        seeds: how many.

    Raises:
        ValueError: a fraction leaves fewer pairs than there are classes.
    """
    runs = [
        Named(folder_name(name, f, "seed", seed), with_fraction(seeded(configs[name], seed), f))
        for name, f, seed in product(configs, fractions, range(seeds))
    ]
    for named in runs:
        check_classes(named.config)
    return runs


def _model(name: str, size: str) -> Any:
    if size == "published":
        return {
            "transformer": gi.TransformerConfig.paper2,
            "lstm": gi.LSTMConfig.paper2,
            "mlp": gi.EmbeddingMLPConfig.paper2,
        }[name]()
    width, own = _WIDTH[size], _COMPACT | ({"prompt": "a b"} if size == "tiny" else {})
    match name:
        case "transformer":
            return gi.TransformerConfig.paper2(
                **own, **_PLAIN, n_layers=1, d_model=width, n_heads=4, d_mlp=4 * width
            )
        case "lstm":
            return gi.LSTMConfig.paper2(**own, d_embed=width, d_hidden=width)
    return gi.EmbeddingMLPConfig.paper2(**own, d_embed=width, hidden=(2 * width, 2 * width))
