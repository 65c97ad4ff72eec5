"""A line chart as SVG, drawn by hand: images per second over the number of associations."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 880, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 660, 50, 380
TICKS = (1, 4, 8, 100, 500)
COLORS = ("#666666", "#0b6bcb", "#5aa9e6", "#c2571a", "#2e8b57", "#a03070")
LABEL_HEIGHT = 16


def draw(curves):
    """curves: [(label, dashed, {associations: images/s})]. x is logarithmic, y linear from 0."""
    top = _round_up(max((value for _, _, points in curves for value in points.values()), default=1))
    parts = [*_frame(top)]
    ends = []
    for color, (label, dashed, points) in zip(COLORS, curves, strict=False):
        places = [(_x(n), _y(value, top)) for n, value in sorted(points.items())]
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places]
        ends.append((places[-1], color, label + (", not synced" if dashed else "")))
    return "\n".join([_head(), *parts, *_labels(ends), "</svg>", ""])


def _head():
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
        "<title>Images per second over the number of associations</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    )


def _frame(top):
    yield _text(LEFT, 26, "512 x 512 CT images per second, kept on disk", "start", "#222222", 15)
    for step in range(5):
        value = top * step / 4
        y = _y(value, top)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>'
        yield _text(LEFT - 8, y + 4, f"{value:,.0f}", "end")
    for tick in TICKS:
        yield f'<line x1="{_x(tick):.1f}" y1="{BOTTOM}" x2="{_x(tick):.1f}" y2="{BOTTOM + 5}" stroke="#666666"/>'
        yield _text(_x(tick), BOTTOM + 20, str(tick), "middle")
    yield _text((LEFT + RIGHT) / 2, BOTTOM + 42, "associations at once", "middle")


def _labels(ends):
    """At the right of the lines' ends, pushed apart where they would lie on each other."""
    lowest = -math.inf
    for (x, y), color, label in sorted(ends, key=lambda end: end[0][1]):
        lowest = max(y + 4, lowest + LABEL_HEIGHT)
        if abs(lowest - y - 4) > 1 or x < RIGHT:
            ends_at = f'x2="{RIGHT + 12}" y2="{lowest - 4:.1f}"'
            yield f'<line x1="{x + 5:.1f}" y1="{y:.1f}" {ends_at} stroke="{color}" opacity="0.35"/>'
        yield _text(RIGHT + 16, lowest, label, "start", color)


def _text(x, y, text, anchor, color="#444444", size=12):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-size="{size}">{escape(text)}</text>'
    )


def _x(associations):
    return LEFT + (RIGHT - LEFT) * math.log(associations / TICKS[0]) / math.log(TICKS[-1] / TICKS[0])


def _y(value, top):
    return BOTTOM - (BOTTOM - TOP) * value / top


def _round_up(value):
    """The next number that four even steps divide well."""
    power = 10 ** math.floor(math.log10(max(value, 1)))
    return next(m * power for m in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if m * power >= value)
