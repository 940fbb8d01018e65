"""Love plots: one row a covariate, long names in two lines, nothing where there is no difference."""

from __future__ import annotations

from walkrisk.figures.love import LoveRow, love_figure
from walkrisk.figures.render import render

ROWS = (
    LoveRow(label="Age", before=-0.21, after=0.02),
    LoveRow(label="Education"),
    LoveRow(label="Primary school", before=0.05, after=None, indent=True),
    LoveRow(label="A name of a covariate that is much too long to stand in a single line of the figure", before=0.3),
)


def test_differences_are_drawn_without_their_sign() -> None:
    figure = love_figure(ROWS)
    (ax,) = figure.axes
    drawn = [sorted(float(v) for v in line.get_xdata()) for line in ax.lines if line.get_marker() in ("o", "s")]
    assert drawn == [[0.05, 0.21, 0.3], [0.02]]
    assert ax.get_xlim()[1] > 0.3


def test_a_long_name_makes_its_row_higher_and_a_stamp_says_simulated() -> None:
    plain, longer = love_figure(ROWS[:3]), love_figure(ROWS)
    assert longer.get_size_inches()[1] - plain.get_size_inches()[1] > 0.2
    texts = [t.get_text() for t in love_figure(ROWS, simulated=True).texts]
    assert "SIMULATED DATA" in texts
    assert not any("…" in t for t in texts)
    assert render(longer, "svg") == render(love_figure(ROWS), "svg")
