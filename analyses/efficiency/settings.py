"""The second paper's three networks and their training, at its own size and at smaller ones.

"published": p 97, a vocabulary of 239 tokens, widths, loss, optimiser, batches and steps of the
paper's code. Its weight decay is known for some figures only (0.1 for the MLP of Figs. 6 and 7);
0.1 is used for all, which is a choice. Only c is scored, not the end token after it.

"small": the same architectures and training on two cores in minutes. Scaled are the modulus (43),
the widths (half), the transformer's layers (one of two), the batch (the same share of all pairs),
the vocabulary (only tokens that occur), the learning rate (3 times, for the LSTM 6 times) and the
weight decay (1, for the LSTM 0.5), so that networks generalise after a thousand steps or two
instead of tens of thousands: the first settings of a coarse scan at which three seeds did. The
MLP's loss is cross-entropy, as the other networks' is: with the paper's squared error on the
softmax it memorises so late, at the published size too, that it hardly groks.

"tiny": toys that grok in about a second each, to see what a command does: modulus 29, widths of 32,
the prompt "a b", full batches, high rates and 300 steps, chosen as for "small". The transformer has
no norms and learned positions, with which toys stop half-way. At 70 % of the pairs three seeds of
each network generalise after it has memorised; at 30 % none does.
"""

from typing import Any

import grokinterp as gi
from grokinterp.checks import check_choice

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
# What a network's training at a size has of its own.
_OWN: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {"transformer": {"weight_decay": 1.0}, "mlp": {"loss": "cross_entropy"}},
    "small": {"lstm": {"lr": 6e-3, "weight_decay": 0.5}, "mlp": {"loss": "cross_entropy"}},
}
_COMPACT: dict[str, Any] = {"d_vocab": None, "d_vocab_out": None}  # the tokens that occur
_WIDTH = {"tiny": 32, "small": 64}
_TOY: dict[str, dict[str, Any]] = {
    "transformer": {
        "normalization_type": None, "norm_position": "pre", "init": "nanda",
        "positional_embedding_type": "standard",
    },
}  # fmt: skip


def network(name: str, size: str) -> gi.RunConfig:
    """A network of the paper with its training, on half of the pairs of modular addition.

    Args:
        name: one of ``NETWORKS``.
        size: one of ``SIZES``; "tiny" is a toy to try things out.
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
    """The config with another train fraction and the batches that the paper's code takes for it.

    These are of 512 pairs, or of half of the training pairs if that is fewer; at another modulus
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
    """Weights, noise and split drawn anew; splits of one seed are nested across fractions."""
    return config.replace({"seed": seed, "data.seed": seed})


def _model(name: str, size: str) -> Any:
    if size == "published":
        return {
            "transformer": gi.TransformerConfig.paper2,
            "lstm": gi.LSTMConfig.paper2,
            "mlp": gi.EmbeddingMLPConfig.paper2,
        }[name]()
    width, own = _WIDTH[size], _COMPACT
    if size == "tiny":
        own = own | {"prompt": "a b"} | _TOY.get(name, {})
    match name:
        case "transformer":
            return gi.TransformerConfig.paper2(
                **own, n_layers=1, d_model=width, n_heads=4, d_mlp=4 * width
            )
        case "lstm":
            return gi.LSTMConfig.paper2(**own, d_embed=width, d_hidden=width)
    return gi.EmbeddingMLPConfig.paper2(**own, d_embed=width, hidden=(2 * width, 2 * width))
