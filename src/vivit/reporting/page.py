"""One page that needs nothing beside itself: no scripts, no files, no network."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

from vivit.reporting.formats import web
from vivit.reporting.tables import Table

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --ink: #1c2126; --soft: #59636e; --line: #d5dbe1; --ground: #ffffff; --tint: #f2f5f8; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #d8dee6; --soft: #98a3b0; --line: #353d47; --ground: #14181d; --tint: #1e242b; --link: #7db8f5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; color: var(--ink); background: var(--ground);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
p { margin: .4rem 0 .8rem; max-width: 48rem; }
a { color: var(--link); }
code { font-size: .9em; overflow-wrap: anywhere; background: var(--tint); padding: .1em .3em; border-radius: 3px; }
nav { background: var(--tint); border-radius: 8px; padding: .8rem 1.2rem; margin: 1.2rem 0; }
nav ol { margin: .3rem 0; padding-left: 1.4rem; columns: 18rem; }
.soft, .notes, figcaption, .done { color: var(--soft); }
.done { font-size: .85rem; white-space: nowrap; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .5rem; text-align: left; vertical-align: bottom; }
th { font-weight: 600; background: var(--tint); min-width: 3.8rem; }
td { border-top: 1px solid var(--line); vertical-align: top; }
.n { text-align: right; }
td.n { white-space: nowrap; }
.paper { color: var(--soft); }
th:first-child, td:first-child { min-width: 8.5rem; }
@media (min-width: 60rem) { th:first-child, td:first-child { min-width: 12rem; } }
@media (max-width: 60rem) {
  th:first-child, td:first-child { position: sticky; left: 0; background: var(--ground); }
  th:first-child { background: var(--tint); }
}
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.notes { font-size: .875rem; padding-left: 1.2rem; }
figure { margin: 1rem 0; overflow-x: auto; }
figure img { width: 100%; min-width: 34rem; max-width: 54rem; height: auto; }
figcaption { font-size: .875rem; }
@media print { nav { display: none; } .wide { overflow: visible; } }
</style>
</head>
<body>
<header>
<h1>$title</h1>
$lead
</header>
<nav aria-label="Contents"><strong>Contents</strong><ol>
$contents
</ol></nav>
<main>
$sections
</main>
</body>
</html>
""")


@dataclass(frozen=True, slots=True)
class Section:
    """Part of the page: its title and how it stands, a sentence, tables under titles, and pictures."""

    title: str
    state: str
    tables: Sequence[Table] = ()
    pictures: Sequence[tuple[str, str, str]] = ()
    """Of each the picture in light and in dark, as data, and what it shows."""

    @property
    def anchor(self) -> str:
        """Name to which the contents link."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def page(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """Write the page; ``lead`` are its first sentences, with ``code`` between backticks."""
    links = (f'<a href="#{section.anchor}">{html.escape(section.title)}</a>' for section in sections)
    states = (f'<span class="done">{section.state}</span>' for section in sections)
    contents = "\n".join(f"<li>{link} {state}</li>" for link, state in zip(links, states, strict=True))
    return PAGE.substitute(
        title=html.escape(title),
        lead="\n".join(f"<p>{_with_code(sentence)}</p>" for sentence in lead),
        contents=contents,
        sections="\n".join(_written(section) for section in sections),
    )


def _written(section: Section) -> str:
    parts = [f'<section id="{section.anchor}">', f"<h2>{html.escape(section.title)}</h2>"]
    for light, dark, caption in section.pictures:
        source = f'<source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        image = f'<img src="{light}" alt="{html.escape(caption)}">'
        parts.append(f"<figure><picture>{source}{image}</picture></figure>")
    for table in section.tables:
        if table.title != section.title:
            parts.append(f"<h3>{html.escape(table.title)}</h3>")
        parts.append(web(table))
    return "\n".join([*parts, "</section>"])


def _with_code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
