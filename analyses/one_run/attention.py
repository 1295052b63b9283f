"""Where every attention head looks, for all pairs (a, b): patterns of the last position.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import attention
    >>> config = gi.RunConfig(model=gi.TransformerConfig(d_model=16))
    >>> run = gi.train(config.replace({"data.p": 11, "training.steps": 20}))
    >>> data = attention.compute(run)
    >>> dict(data.attention.sizes)
    {'head': 4, 'key': 3, 'a': 11, 'b': 11}
    >>> bool((data.attention.sum("key").round(5) == 1).all())
    True
    >>> figure = attention.plot_attention(data)
"""

import numpy as np
import plotly.graph_objects as go
import torch
import xarray as xr
from einops import rearrange

from analyses.pages.finding import Finding
from analyses.pages.palette import ORDER_SCALE
from analyses.pages.style import finish
from grokinterp import Run
from grokinterp.session import unaffected
from probes import network_on_pairs


@unaffected()
def compute(run: Run) -> xr.Dataset:
    """Attention from the last position to every position, for all pairs.

    Args:
        run: of a network with hook points named ``*.hook_pattern``, such as a transformer.

    Returns:
        Dataset: ``attention`` (head, key, a, b), which adds up to 1 over "key" for softmax
        attention; ``mean`` and ``deviation`` (head, key) over all pairs. Coordinates: ``head``,
        such as "0.3", head 3 of layer 0; ``key``, the words of the prompt with their positions.

    Raises:
        ValueError: the network has no attention.
    """
    network = network_on_pairs(run.model)
    hooks = [name for name in network.model.hook_dict if name.split(".")[-1] == "hook_pattern"]
    if not hooks:
        raise ValueError(
            f"{network.anatomy.description} has no attention; give a run of a transformer, such as "
            "one with model=gi.TransformerConfig()"
        )
    words = (network.anatomy.template or "a b").split()
    parts, heads = [], []
    for layer, hook in enumerate(hooks):
        pattern = network.activations(hook)  # [pair, head, key], the query being the last position
        parts.append(rearrange(pattern, "(a b) head key -> head key a b", a=network.p))
        heads += [f"{layer}.{head}" for head in range(pattern.shape[1])]
    attention = torch.cat(parts)
    return xr.Dataset(
        {
            "attention": (("head", "key", "a", "b"), attention.numpy()),
            "mean": (("head", "key"), attention.mean(dim=(2, 3)).numpy()),
            "deviation": (("head", "key"), attention.std(dim=(2, 3)).numpy()),
        },
        coords={"head": heads, "key": [f"{word} ({i})" for i, word in enumerate(words)]},
    )


def plot_attention(
    data: xr.Dataset, *, title: str = "Where does every head look?", most: int = 8
) -> go.Figure:
    """A heat map over (a, b) for every head and position that is attended to.

    Args:
        data: the dataset of :func:`compute`.
        title: of the figure.
        most: heads shown; of more, those whose attention varies most between pairs.
    """
    from plotly.subplots import make_subplots

    shown = strongest(data, most)
    heads, keys = shown["head"].values.tolist(), shown.key.values.tolist()
    gap, height = 26, 190
    inner = len(heads) * (height + gap) - gap
    figure = make_subplots(
        rows=len(heads),
        cols=len(keys),
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=gap / inner if len(heads) > 1 else 0,
        column_titles=[f"to {key}" for key in keys],
    )
    for row, head in enumerate(heads, 1):
        for column, key in enumerate(keys, 1):
            figure.add_heatmap(
                z=np.round(shown.attention.sel(head=head, key=key).values, 3),
                coloraxis="coloraxis",
                hovertemplate=f"head {head} to {key}, pair (%{{y}}, %{{x}}): %{{z:.3f}}"
                "<extra></extra>",
                row=row,
                col=column,
            )
        figure.update_yaxes(title=f"head {head}<br>a", row=row, col=1)
    figure.update_xaxes(title="b", row=len(heads))
    bar = {"title": "attention", "thickness": 14}
    scale = {"colorscale": ORDER_SCALE, "cmin": 0, "cmax": 1, "colorbar": bar}
    return finish(figure, title=title, height=inner + 170, coloraxis=scale)


def strongest(data: xr.Dataset, most: int) -> xr.Dataset:
    """The heads whose attention varies most between pairs, in their own order."""
    order = data.deviation.max("key").values.argsort(kind="stable")[::-1][:most]
    return data.isel(head=np.sort(order))


def in_words(data: xr.Dataset) -> list[str]:
    """A sentence for each head."""
    told = []
    for head in data["head"].values.tolist():
        one = data.sel(head=head)
        parts = [
            f"{float(one['mean'].sel(key=key)):.2f} to {key}, ± "
            f"{float(one.deviation.sel(key=key)):.2f}"
            for key in one.key.values.tolist()
        ]
        told.append(f"head {head} attends {'; '.join(parts)} over all pairs")
    return told


def caption(data: xr.Dataset) -> str:
    """What is seen in the figure."""
    varying = data.deviation.max("key")
    head = str(data["head"].values[int(varying.values.argmax())])
    return (
        f"Attention of the last position, for every pair. That of head {head} varies most between "
        f"pairs (standard deviation {float(varying.max()):.2f}); stripes along one axis depend on "
        "one operand alone, diagonals on a - b or a + b."
    )


def analysis(run: Run) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(run)
    sentences = [caption(data)]
    figures = [plot_attention(data)]
    return Finding(data=data, figures=figures, rows=in_words(data), sentences=sentences)
