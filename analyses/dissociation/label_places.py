"""Where the labels of a scatter plot go so that they do not lie on each other.

Examples:
    >>> from analyses.dissociation.label_places import label_places
    >>> points, sizes = [(2.0, 2.0), (2.2, 2.1)], [(2.0, 0.5), (2.0, 0.5)]
    >>> label_places(points, sizes, frame=(2.0, 2.0, 8.0, 4.0))  # neither covers the other
    ['top right', 'bottom left']
"""

from collections.abc import Sequence

import numpy as np

Box = tuple[float, float, float, float]  # x and y of the centre, width, height

# plotly's ``textposition`` and the place of the label's centre, in half labels from the marker.
_PLACES = {
    "top right": (1, 1), "bottom left": (-1, -1), "top left": (-1, 1), "bottom right": (1, -1),
    "top center": (0, 1), "bottom center": (0, -1), "middle right": (1, 0), "middle left": (-1, 0),
}  # fmt: skip
_GAP = 0.5  # between marker and label, in heights of a label


def label_places(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    *,
    frame: Box,
    taken: Sequence[Box] = (),
) -> list[str]:
    """A ``textposition`` for each point, chosen in order: the first that is free, or the freest.

    Args:
        points: x and y of each marker; NaN for one that is not drawn.
        sizes: width and height of each label, in the units of the axes.
        frame: that of the plot, outside of which no label can be read.
        taken: other texts.
    """
    boxes_taken = list(taken)
    chosen: list[str] = []
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        drawn = [point for point in points if point != (x, y) and np.isfinite(point).all()]
        others = [(*point, 0.6 * height, 0.6 * height) for point in drawn]
        boxes = {}
        for name, (across, up) in _PLACES.items():
            beside = width / 2 + _GAP * height if up == 0 else width / 2
            above = height / 2 + _GAP * height
            boxes[name] = (x + across * beside, y + up * above, width, height)
        overlap = {
            name: width * height - _overlap(box, frame)
            + sum(_overlap(box, other) for other in [*boxes_taken, *others])
            for name, box in boxes.items()
        }  # fmt: skip
        best = min(overlap, key=lambda name: round(overlap[name], 9))  # the first, of equals
        chosen.append(best)
        if np.isfinite((x, y)).all():
            boxes_taken.append(boxes[best])
    return chosen


def _overlap(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    sides = [(one[2 + i] + other[2 + i]) / 2 - abs(one[i] - other[i]) for i in range(2)]
    most = [min(one[2 + i], other[2 + i]) for i in range(2)]
    return float(
        np.prod([np.clip(side, 0, limit) for side, limit in zip(sides, most, strict=True)])
    )
