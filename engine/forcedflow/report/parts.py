"""Parts that pages share: head, warnings, tiles, and the frame of a page without charts.

Everything that a user or a file named is escaped.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["asset", "frame", "header", "plain_page", "tile", "warning_list"]


def plain_page(title: str, body: Iterable[str], script: str | None = None) -> str:
    """Return a page of text and inline figures, with its style inside and no data to unpack.

    Parameters
    ----------
    title
        Text.
    body
        HTML sections, in order; empty ones are left out.
    script
        File of ``page/`` to run besides the one that switches dark and light.
    """
    names = ["plain.js"] if script is None else ["plain.js", f"{script}.js"]
    return frame(title, body, ["\n".join(asset(name) for name in names)])


def frame(title: str, body: Iterable[str], scripts: Iterable[str], data: str = "{}", connect: str = "'none'") -> str:
    """Return a page: title, style, body, data and scripts in one file.

    Parameters
    ----------
    title
        Text.
    body
        HTML sections, in order; empty ones are left out.
    scripts
        Their texts, in order.
    data
        JSON without ``<``, which scripts find as ``payload``.
    connect
        Where scripts may send requests, as a source of the content security policy.
    """
    return Template(asset("page.html")).substitute(
        title=escape(title),
        connect=connect,
        style=asset("page.css"),
        body="\n".join(part for part in body if part),
        payload=data,
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def asset(name: str) -> str:
    """Return the text of a file of ``page/``."""
    return (files("forcedflow.report") / "page" / name).read_text(encoding="utf-8")


def header(heading: str, facts: list[str]) -> str:
    """Return the head of a page; ``heading`` is HTML, ``facts`` are text."""
    told = escape(" · ".join(facts))
    return (
        f"<header><div><h1>{heading}</h1><p>{told}</p></div>"
        '<button id="theme" type="button" aria-label="Switch between dark and light">Light</button></header>'
    )


def warning_list(warnings: Iterable[str], label: str = "Assumptions and warnings") -> str:
    """Return assumptions and warnings as a section, the first of a page; nothing where there are none."""
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<section class="card warnings" aria-label="{escape(label)}"><ul>{items}</ul></section>' if items else ""


def tile(title: str, value: str, mood: str, hint: str, aside: str = "") -> str:
    """Return a number with its title; ``mood`` is its class, ``hint`` is shown when it is pointed at."""
    small = f" <small>{escape(aside)}</small>" if aside else ""
    return (
        f'<div class="tile" title="{escape(hint)}"><span>{escape(title)}</span>'
        f'<b class="{mood}">{escape(value)}{small}</b></div>'
    )
