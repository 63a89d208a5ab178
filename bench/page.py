"""What the pages of measurements share: style, tables.  For report and locks."""
import html

import svg

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;
padding:0 1rem;color:#1f2937;background:#fff}table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.2rem .8rem;border-bottom:1px solid #e5e7eb;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.no{color:#b91c1c;font-weight:bold}.yes{color:#047857}svg{max-width:100%;height:auto;margin:.6rem 0}
small{color:#6b7280}"""


def table(head, rows):
    """rows: lists of cells; a number is set to the right, a (class, text) pair has its class."""
    out = ["<table><tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in head) + "</tr>"]
    for row in rows:
        cells = []
        for cell in row:
            if isinstance(cell, tuple):
                cells.append(f"<td class='{cell[0]}'>{html.escape(cell[1])}</td>")
            elif isinstance(cell, str):
                cells.append(f"<td>{html.escape(cell)}</td>")
            else:
                cells.append(f"<td class='n'>{svg.number(cell)}</td>")
        out.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join(out) + "</table>"


def machine_text(m):
    return f"{m['cpu']}, {m['cpus']} CPUs, {m['system']} {m['kernel']}"
