"""Labels of points at known places."""

import math

from analyses.dissociation.label_places import label_places

FRAME = (0.5, 0.5, 1.0, 1.0)


def places(*points: tuple[float, float], **more: object) -> list[str]:
    sizes = [(0.2, 0.05)] * len(points)
    return label_places(points, sizes, frame=FRAME, **more)  # pyright: ignore[reportArgumentType]


def test_a_label_stays_inside_the_plot() -> None:
    assert places((0.5, 0.5)) == ["top right"]
    assert places((0.99, 0.5)) == ["bottom left"]
    assert places((0.01, 0.99)) == ["bottom right"]


def test_labels_make_room_for_each_other() -> None:
    """The second would lie on the first one's label, and is below."""
    assert places((0.3, 0.5), (0.35, 0.49)) == ["top right", "bottom left"]
    nowhere = (math.nan, math.nan)
    assert places(nowhere, (0.5, 0.5), nowhere)[1] == "top right"


def test_other_texts_are_left_readable() -> None:
    assert places((0.5, 0.5), taken=[(0.6, 0.55, 0.2, 0.1)]) == ["bottom left"]
