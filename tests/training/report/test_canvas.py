"""Labels and limits of the pictures."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

from training.report.canvas import canvas, label_near, limits, spread, style


@given(st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(0.01, 0.1)), min_size=1, max_size=8))
def test_labels_do_not_overlap_and_stay_inside(labels: list[tuple[float, float]]) -> None:
    values, sizes = zip(*labels, strict=True)
    places = np.array(spread(values, sizes, 0.0, 1.0))
    assert ((places >= -1e-9) & (places <= 1 + 1e-9)).all()
    order = np.argsort(values, kind="stable")
    apart = np.diff(places[order])
    needed = (np.array(sizes)[order][1:] + np.array(sizes)[order][:-1]) / 2
    assert (apart >= needed - 1e-9).all()


def test_labels_with_room_stay_where_they_are() -> None:
    assert spread([0.8, 0.1], [0.1, 0.1], 0, 1) == pytest.approx([0.8, 0.1])


def test_a_far_off_reference_is_left_outside() -> None:
    found = limits({"a": [-1, 1], "NoBC": [-30, -20]}, {}, "NoBC")
    assert found.outside
    assert -2 < found.low < -1 < 1 < found.high < 2
    found = limits({"a": [-1, 1], "NoBC": [-2, -1]}, {}, "NoBC")
    assert not found.outside
    assert found.low < -2


def test_wide_intervals_are_cut() -> None:
    found = limits({"a": [-1, 1]}, {"a": [0.2, 50]}, "NoBC")
    assert found.cut
    assert -3 < found.low < -1.2
    found = limits({"a": [-1, 1]}, {"a": [0.2, float("nan")]}, "NoBC")
    assert not found.cut
    assert found.low < -1.2


def test_names_near_their_points_do_not_cover_each_other() -> None:
    with style():
        figure = canvas(5, 4)
        axes = figure.subplots()
        points = {f"name {i}": (0.5, 0.5 + 0.01 * i) for i in range(4)}
        label_near(axes, points, dict.fromkeys(points, "black"), [])
        boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == 4
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
