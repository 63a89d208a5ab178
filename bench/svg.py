"""Small SVG plots without any library: horizontal bars, dots, lines.  For hitratio and report."""
import math
from xml.sax.saxutils import escape

FONT = "font-family='system-ui,sans-serif'"
COLOURS = {"latchkey": "#c2410c", "plain": "#64748b", "LMDB": "#0f766e", "Redis": "#b91c1c",
           "memcached": "#4d7c0f", "APCu": "#6d28d9"}


def number(x):
    """Three significant digits, no exponent."""
    if x == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(x))))
    return f"{x:,.{digits}f}"


class Canvas:
    def __init__(self, width, height, title):
        self.width, self.height = width, height
        self.parts = [f"<title>{escape(title)}</title>"]

    def text(self, x, y, text, anchor="start", size=12, fill="#1f2937", weight="normal"):
        self.parts.append(f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {FONT} "
                          f"font-size='{size}' font-weight='{weight}' fill='{fill}'>"
                          f"{escape(text)}</text>")

    def line(self, x1, y1, x2, y2, stroke="#e5e7eb", width=1, dash=""):
        dashes = f" stroke-dasharray='{dash}'" if dash else ""
        self.parts.append(f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' "
                          f"stroke='{stroke}' stroke-width='{width}'{dashes}/>")

    def bar(self, x, y, width, height, fill, tip):
        self.parts.append(f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 1):.1f}' "
                          f"height='{height:.1f}' fill='{fill}'><title>{escape(tip)}</title>"
                          "</rect>")

    def dot(self, x, y, r, fill, tip, stroke="none", shape="circle"):
        style = f"fill='{fill}' stroke='{stroke}' stroke-width='1.5'"
        if shape == "circle":
            body = f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{r}' {style}>"
        else:
            body = (f"<rect x='{x - r:.1f}' y='{y - r:.1f}' width='{2 * r}' height='{2 * r}' "
                    f"{style} transform='rotate(45 {x:.1f} {y:.1f})'>")
            shape = "rect"
        self.parts.append(f"{body}<title>{escape(tip)}</title></{shape}>")

    def path(self, points, stroke, dash=""):
        dashes = f" stroke-dasharray='{dash}'" if dash else ""
        d = " ".join(f"{'M' if i == 0 else 'L'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
        self.parts.append(f"<path d='{d}' fill='none' stroke='{stroke}' stroke-width='2'{dashes}/>")

    def render(self):
        return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{self.width}' "
                f"height='{self.height}' viewBox='0 0 {self.width} {self.height}' role='img'>"
                f"<rect width='100%' height='100%' fill='#ffffff'/>"
                + "\n".join(self.parts) + "</svg>\n")


def bars(title, rows, unit):
    """Horizontal bars on a logarithmic axis.  rows: (name, value, tip)."""
    left, top, width, step = 110, 44, 520, 26
    c = Canvas(left + width + 130, top + step * len(rows) + 34, title)
    c.text(10, 22, title, size=14, weight="bold")
    low = 10 ** math.floor(math.log10(min(v for _, v, _ in rows)))
    high = 10 ** math.ceil(math.log10(max(v for _, v, _ in rows)))
    decades = max(1, round(math.log10(high / low)))

    def x(v):
        return left + width * math.log10(v / low) / decades

    bottom = top + step * len(rows)
    for i in range(decades + 1):
        tick = low * 10 ** i
        c.line(x(tick), top - 6, x(tick), bottom)
        c.text(x(tick), bottom + 16, f"{number(tick)} {unit}" if i == decades else number(tick),
               "middle", 11, "#6b7280")
    for i, (name, value, tip) in enumerate(rows):
        y = top + i * step
        c.text(left - 8, y + 14, name, "end", weight="bold" if name == "latchkey" else "normal")
        c.bar(left, y + 2, x(value) - left, step - 8, COLOURS.get(name, "#94a3b8"), tip)
        c.text(x(value) + 6, y + 14, f"{number(value)} {unit}", size=11, fill="#374151")
    return c.render()


def ticks_of(most, least, log):
    """The values with a line across the plot: powers of ten, or some equal steps from 0."""
    if log:
        low = math.floor(math.log10(max(least, 1e-6)))
        high = max(math.ceil(math.log10(most)), low + 1)
        return [10.0 ** i for i in range(low, high + 1)]
    tick = 10 ** math.floor(math.log10(most))
    if most / tick < 3:
        tick /= 5
    return [i * tick for i in range(math.ceil(most / tick) + 1)]


def lines(title, xs, x_names, series, y_name, log=False):
    """Lines over the given x values (logarithmic).  series: (name, values, colour, dash)."""
    left, top, width, height = 70, 44, 480, max(260, 20 * len(series))
    c = Canvas(left + width + 190, top + height + 44, title)
    c.text(10, 22, title, size=14, weight="bold")
    every = [v for _, values, _, _ in series for v in values if v > 0 or not log] or [1]
    ticks = ticks_of(max(every), min(every), log)

    def x(v):
        return left + width * math.log(v / xs[0]) / math.log(xs[-1] / xs[0])

    def y(v):
        if not log:
            return top + height * (1 - v / ticks[-1])
        part = math.log(max(v, ticks[0]) / ticks[0]) / math.log(ticks[-1] / ticks[0])
        return top + height * (1 - part)

    for tick in ticks:
        c.line(left, y(tick), left + width, y(tick))
        c.text(left - 8, y(tick) + 4, number(tick), "end", 11, "#6b7280")
    for v, name in zip(xs, x_names):
        c.text(x(v), top + height + 18, name, "middle", 11, "#6b7280")
    c.text(left, top - 8, y_name, size=11, fill="#6b7280")
    for i, (name, values, colour, dash) in enumerate(series):
        c.path([(x(a), y(b)) for a, b in zip(xs, values)], colour, dash)
        for a, b, x_name in zip(xs, values, x_names):
            c.dot(x(a), y(b), 3, colour, f"{name}, {x_name}: {number(b)}")
        key = left + width + 16, top + 10 + 20 * i
        c.line(*key, key[0] + 28, key[1], colour, 2, dash)
        c.text(key[0] + 34, key[1] + 4, name, size=12)
    return c.render()


def dots(title, rows, marks):
    """One row of dots a line between 0 and 1.  rows: (name, {mark: value});
    marks: (mark, label, colour, filled, shape)."""
    left, top, width, step = 210, 66, 560, 24
    c = Canvas(left + width + 30, top + step * len(rows) + 34, title)
    c.text(10, 22, title, size=14, weight="bold")
    at = left
    for mark, label, colour, filled, shape in marks:
        c.dot(at, 42, 5, colour if filled else "#ffffff", label, colour, shape)
        c.text(at + 10, 46, label, size=12)
        at += 30 + 7.2 * len(label)
    bottom = top + step * len(rows)
    for i in range(11):
        x = left + width * i / 10
        c.line(x, top - 8, x, bottom)
        c.text(x, bottom + 16, f"{i * 10}%", "middle", 11, "#6b7280")
    for i, (name, values) in enumerate(rows):
        y = top + i * step + 8
        c.text(left - 10, y + 4, name, "end")
        c.line(left, y, left + width, y, "#f3f4f6")
        for mark, label, colour, filled, shape in marks:
            if mark in values:
                c.dot(left + width * values[mark], y, 5, colour if filled else "#ffffff",
                      f"{name}, {label}: {values[mark]:.4f}", colour, shape)
    return c.render()
