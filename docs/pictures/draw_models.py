"""Draws ``models.svg``, the four models as the paper's figures 3 to 6 have them: `python docs/pictures/draw_models.py`.

One ink and solid boxes with white letters, so that it reads on light and on dark pages alike.
"""

from pathlib import Path

INK, GREY = "#77818c", "#6a737d"
SPACE, TIME, BOTH = "#2f6fc9", "#bf5b17", "#7c4fd0"
NOTE = (
    "Model 2's spatial encoders are one and the same. Encoders repeat self-attention and MLP. "
    "Layer norms and residuals are not drawn."
)
SHADES = ("#6fbf9f", "#3f9f7c", "#23775a")
"""Tokens of each temporal index."""
CLS = "#d9a520"
PANEL, GAP, TOP, HEIGHT = 208, 16, 132, 356
BLOCK = (92, 266)
"""Top and bottom of what is repeated, within a panel."""


def text(
    x: float, y: float, words: str, size: float = 12, fill: str = INK, anchor: str = "middle", more: str = ""
) -> str:
    """One line of letters."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}" text-anchor="{anchor}"{more}>{words}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, *lines: str, more: str = "") -> str:
    """A solid box with white lines in its middle."""
    first = y + height / 2 + 4.2 - 7.5 * (len(lines) - 1)
    said = "".join(text(x + width / 2, first + 15 * i, line, 12, "#fff", more=more) for i, line in enumerate(lines))
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{fill}"/>{said}'


def arrow(x: float, top: float, bottom: float) -> str:
    """Downwards."""
    return f'<path d="M{x:g} {top:g}V{bottom - 1.5:g}" class="a"/>'


def token(x: float, y: float, fill: str, side: float = 9) -> str:
    """A square; the class token is round."""
    if fill == CLS:
        return f'<circle cx="{x + side / 2:g}" cy="{y + side / 2:g}" r="{side / 2:g}" fill="{fill}"/>'
    return f'<rect x="{x:g}" y="{y:g}" width="{side}" height="{side}" rx="1.5" fill="{fill}"/>'


def row(middle: float, y: float, groups: list[list[str]], apart: float = 6) -> str:
    """Groups of tokens around a middle."""
    width = sum(11 * len(group) - 2 for group in groups) + apart * (len(groups) - 1)
    x, drawn = middle - width / 2, ""
    for group in groups:
        drawn += "".join(token(x + 11 * i, y, fill) for i, fill in enumerate(group))
        x += 11 * len(group) - 2 + apart
    return drawn


def seen(x: float, y: float, kind: str, cell: float = 8) -> str:
    """What the marked token attends to: rows are temporal indices, columns places."""
    drawn = ""
    for t in range(3):
        for s in range(4):
            mine = (t, s) == (1, 1)
            near = kind == "both" or (kind == "space" and t == 1) or (kind == "time" and s == 1)
            look = 'fill="#fff"' if near else 'fill="#fff" fill-opacity=".22"'
            at = f'x="{x + s * (cell + 2):g}" y="{y + t * (cell + 2):g}"'
            drawn += f'<rect {at} width="{cell:g}" height="{cell:g}" rx="1.2" {look}/>'
            if mine:
                middle = (x + s * (cell + 2) + cell / 2, y + t * (cell + 2) + cell / 2)
                drawn += f'<circle cx="{middle[0]:g}" cy="{middle[1]:g}" r="{cell / 3.6:g}" fill="#1c2126"/>'
    return drawn


def summaries(x: float, y: float) -> str:
    """What the summary of a temporal index attends to: those of all."""
    cells = "".join(
        f'<rect x="{x + 13 * t:g}" y="{y:g}" width="11" height="11" rx="1.2" fill="#fff"/>' for t in range(3)
    )
    return cells + f'<circle cx="{x + 18.5:g}" cy="{y + 5.5:g}" r="3" fill="#1c2126"/>'


def layers(index: str) -> str:
    """How many layers an encoder has; both have a number of their own."""
    return f'&#215; L<tspan font-size="9" dy="2.5">{index}</tspan>'


def repeated(x: float) -> str:
    """The frame around a block, and how often it comes."""
    top, bottom = BLOCK
    frame = f'<rect x="{x + 10}" y="{TOP + top}" width="{PANEL - 20}" height="{bottom - top}" rx="9" class="f"/>'
    return frame + text(x + PANEL - 18, TOP + top - 6, "&#215; L", 12, anchor="end", more=' font-weight="600"')


def panel(number: int, name: str, pooled: str) -> str:
    """The frame of a model, its name, its end."""
    x, middle = (number - 1) * (PANEL + GAP), (number - 1) * (PANEL + GAP) + PANEL / 2
    drawn = f'<rect x="{x + 0.5}" y="{TOP + 0.5}" width="{PANEL - 1}" height="{HEIGHT - 1}" rx="10" class="p"/>'
    drawn += text(middle, TOP + 24, f"Model {number}", 15, more=' font-weight="700"') + text(
        middle, TOP + 42, name, 12.5
    )
    drawn += arrow(middle, TOP + BLOCK[1], TOP + 282)
    y = TOP + 285
    if pooled == "class token":
        drawn += token(middle - 44, y + 0.5, CLS, 10) + text(middle - 28, y + 10, pooled, anchor="start")
    else:
        drawn += text(middle, y + 10, pooled)
    return drawn + arrow(middle, y + 16, TOP + 316) + box(middle - 50, TOP + 316, 100, 26, GREY, "classifier")


def model_1() -> str:
    """Section 3.3, Model 1."""
    x, middle = 0, PANEL / 2
    drawn = row(middle, TOP + 56, [[CLS], *([shade] * 4 for shade in SHADES)]) + arrow(middle, TOP + 69, TOP + 102)
    drawn += repeated(x) + box(x + 20, TOP + 102, 168, 104, BOTH)
    drawn += seen(middle - 27, TOP + 113, "both", 12) + text(middle, TOP + 173, "self-attention", 12, "#fff")
    drawn += text(middle, TOP + 190, "every token to every token", 11, "#fff")
    return drawn + arrow(middle, TOP + 206, TOP + 226) + box(x + 20, TOP + 226, 168, 30, GREY, "MLP")


def model_2() -> str:
    """Section 3.3, Model 2."""
    x = PANEL + GAP
    middle, drawn = x + PANEL / 2, ""
    for i, shade in enumerate(SHADES):
        centre = x + 10 + 29 + i * 65
        drawn += row(centre, TOP + 56, [[CLS, *[shade] * 4]]) + arrow(centre, TOP + 69, TOP + 92)
        drawn += box(centre - 29, TOP + 92, 58, 84, SPACE) + seen(centre - 19, TOP + 100, "space")
        drawn += "".join(text(centre, TOP + y, said, 12, "#fff") for y, said in ((141, "spatial"), (154, "encoder")))
        drawn += text(centre, TOP + 168, layers("s"), 12, "#fff")
        drawn += arrow(centre, TOP + 176, TOP + 190) + token(centre - 4.5, TOP + 192, shade)
        drawn += arrow(centre, TOP + 203, TOP + 218)
    drawn += token(middle - 37, TOP + 192, CLS) + arrow(middle - 32.5, TOP + 203, TOP + 218)
    drawn += box(x + 10, TOP + 218, PANEL - 20, 48, TIME) + summaries(x + 24, TOP + 236)
    said = ((239, "temporal encoder"), (254, layers("t")))
    return drawn + "".join(text(x + 129, TOP + y, words, 12, "#fff") for y, words in said)


def model_3() -> str:
    """Section 3.3, Model 3."""
    x = 2 * (PANEL + GAP)
    middle = x + PANEL / 2
    drawn = row(middle, TOP + 56, [[shade] * 4 for shade in SHADES]) + arrow(middle, TOP + 69, TOP + 102) + repeated(x)
    for y, colour, kind, lines in (
        (102, SPACE, "space", ("self-attention", "over space")),
        (164, TIME, "time", ("self-attention", "over time")),
    ):
        drawn += box(x + 20, TOP + y, 168, 48, colour) + seen(x + 32, TOP + y + 10, kind)
        drawn += "".join(text(x + 129, TOP + y + 21 + 15 * i, line, 12, "#fff") for i, line in enumerate(lines))
        drawn += arrow(middle, TOP + y + 48, TOP + y + 62)
    return drawn + box(x + 20, TOP + 226, 168, 30, GREY, "MLP")


def model_4() -> str:
    """Section 3.3, Model 4."""
    x = 3 * (PANEL + GAP)
    middle = x + PANEL / 2
    drawn = row(middle, TOP + 56, [[shade] * 4 for shade in SHADES]) + repeated(x)
    drawn += f'<path d="M{middle} {TOP + 69}V{TOP + 84}" class="l"/>'
    for left, colour, kind in ((x + 20, TIME, "time"), (x + 108, SPACE, "space")):
        centre = left + 40
        drawn += f'<path d="M{middle} {TOP + 84}H{centre}V{TOP + 100.5}" class="a"/>'
        drawn += box(left, TOP + 102, 80, 74, colour) + seen(centre - 19, TOP + 110, kind)
        drawn += text(centre, TOP + 153, f"over {kind}", 12, "#fff") + text(
            centre, TOP + 168, "half the heads", 9.5, "#fff"
        )
        drawn += arrow(centre, TOP + 176, TOP + 188)
    drawn += box(x + 20, TOP + 188, 168, 26, GREY, "concatenate, project") + arrow(middle, TOP + 214, TOP + 228)
    return drawn + box(x + 20, TOP + 228, 168, 28, GREY, "MLP")


def clip() -> str:
    """From frames to tokens: tubelets of two frames, in the colours of their temporal index."""
    drawn = ""
    for i in reversed(range(6)):
        x, y, shade = 6 + 17 * i, 52 - 7 * i, SHADES[i // 2]
        drawn += (
            f'<rect x="{x}" y="{y}" width="66" height="66" rx="3" fill="{shade}" stroke="#fff" stroke-width="1.5"/>'
        )
    lines = "M39 52V118M6 85H72"
    drawn += f'<path d="{lines}" stroke="#fff" stroke-width="1.5"/>'
    drawn += text(192, 44, "a clip, cut into tubelets:", anchor="start") + text(
        192, 61, "boxes of frames and pixels", anchor="start"
    )
    drawn += '<path d="M192 82H330" class="a"/>' + text(192, 104, "linear map, + positions", anchor="start")
    for t, shade in enumerate(SHADES):
        drawn += "".join(token(412 + 20 * s, 34 + 20 * t, shade, 17) for s in range(4))
    drawn += text(451, 110, "space", 12) + text(402, 66, "time", 12, anchor="end") + text(451, 24, "tokens", 12)
    return drawn


def legend() -> str:
    """What the colours are."""
    drawn = ""
    for y, fill, said in (
        (24, BOTH, "attention over space and time"),
        (46, SPACE, "over space: within a temporal index"),
        (68, TIME, "over time: across temporal indices"),
    ):
        drawn += f'<rect x="560" y="{y}" width="22" height="13" rx="3" fill="{fill}"/>'
        drawn += text(592, y + 11, said, anchor="start")
    drawn += f'<circle cx="571" cy="97" r="5.5" fill="{CLS}"/>' + text(592, 101, "class token, learned", anchor="start")
    return drawn


def picture() -> str:
    """All of it."""
    models = (
        (1, "spatio-temporal attention", "class token", model_1),
        (2, "factorised encoder", "class token", model_2),
        (3, "factorised self-attention", "mean of all tokens", model_3),
        (4, "factorised dot product", "mean of all tokens", model_4),
    )
    drawn = "\n".join(panel(number, name, pooled) + "\n" + draw() for number, name, pooled, draw in models)
    height = TOP + HEIGHT + 24
    style = (
        f".a{{fill:none;stroke:{INK};stroke-width:1.5;marker-end:url(#h)}}.l{{fill:none;stroke:{INK};stroke-width:1.5}}"
        f".p{{fill:{INK};fill-opacity:.07;stroke:{INK};stroke-opacity:.35}}"
        f".f{{fill:none;stroke:{INK};stroke-width:1.2;stroke-dasharray:4 3}}"
    )
    head = f'<marker id="h" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker>'  # noqa: E501
    note = text(440, height - 6, NOTE, 11.5)
    label = "The four models of ViViT, from tubelet tokens to the classifier"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 {height}" width="880" height="{height}" role="img" '
        f'aria-label="{label}" font-family="system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif">\n'
        f"<title>{label}</title>\n<style>{style}</style>\n<defs>{head}</defs>\n{clip()}\n{legend()}\n{drawn}\n{note}\n</svg>\n"
    )


if __name__ == "__main__":
    Path(__file__).with_name("models.svg").write_text(picture(), encoding="utf-8")
