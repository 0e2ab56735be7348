"""Plots as SVG, by hand: a line chart and a bar chart are a hundred lines, a plotting library forty megabytes."""

import math
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.results import number

PLOTS = Path(__file__).parent / "plots"
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 80, 50, 20, 60
COLOURS = ("#0b6e99", "#d1495b", "#5b8c5a", "#8a5a9e", "#b07d2b")
Series = dict[str, list[tuple[float, float]]]


def lines(name: str, title: str, series: Series, *, x: str, y: str) -> str:
    """Write a line chart with both axes from 0; return the file's name."""
    points = [point for line in series.values() for point in line]
    right, top = _nice(max(px for px, _ in points)), _nice(max(py for _, py in points))
    body = [*_axes(right, top, x, y)]
    for place, (label, line) in enumerate(series.items()):
        colour = COLOURS[place % len(COLOURS)]
        at = [(_x(px / right), _y(py / top)) for px, py in sorted(line)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in at)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in at]
        body.append(_text(LEFT + 12, TOP + 16 + 18 * place, label, fill=colour))
    return _write(name, title, body)


def bars(name: str, title: str, values: dict[str, float], unit: str) -> str:
    """Write horizontal bars; return the file's name."""
    top = max(values.values())
    step = (HEIGHT - TOP - 20) / len(values)
    body = []
    for place, (label, value) in enumerate(values.items()):
        y, width = TOP + place * step, value / top * (WIDTH - 340)
        body.append(_text(200, y + step / 2 + 4, label, anchor="end"))
        bar = f'<rect x="210" y="{y + step * 0.15:.1f}" width="{width:.1f}" height="{step * 0.7:.1f}"'
        body.append(f'{bar} fill="{COLOURS[0]}"/>')
        body.append(_text(218 + width, y + step / 2 + 4, f"{number(value)} {unit}"))
    return _write(name, title, body)


def _axes(right: float, top: float, x: str, y: str) -> list[str]:
    body = []
    for tick in range(5):
        part = tick / 4
        body.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(part)}" y2="{_y(part)}" stroke="#ddd"/>')
        body.append(_text(LEFT - 8, _y(part) + 4, number(top * part), anchor="end"))
        body.append(_text(_x(part), HEIGHT - BOTTOM + 20, number(right * part), anchor="middle"))
    body.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x, anchor="middle"))
    body.append(_text(LEFT, TOP - 8, y))
    return body


def _nice(value: float) -> float:
    """Return the next 1, 2, 4, 5 or 8 times a power of ten."""
    power = float(10 ** math.floor(math.log10(value))) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value)


def _x(part: float) -> float:
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def _y(part: float) -> float:
    return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'


def _write(name: str, title: str, body: list[str]) -> str:
    PLOTS.mkdir(exist_ok=True)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
    parts = [f'{head} font-size="13">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    heading = f'<text x="{LEFT}" y="24" font-size="16" fill="#111">{escape(title)}</text>'
    (PLOTS / name).write_text("\n".join([*parts, heading, *body, "</svg>\n"]))
    return name
