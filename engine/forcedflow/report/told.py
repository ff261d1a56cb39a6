"""Results in a terminal or a notebook: lines and tables, said once and shown as text, as rich renders them, as HTML."""

from __future__ import annotations

import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

__all__ = ["Block", "Told", "printed", "rich_table"]


@dataclass(frozen=True, slots=True)
class Block:
    """Lines, then a table. A line that begins with ``!`` is a warning."""

    lines: tuple[str, ...]
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    wraps: str | None = None
    """The column to fold where there is no room; None: all of them."""


class Told:
    """What has ``blocks``: prints as text, shows as HTML in a notebook, and renders in ``rich.print``."""

    __slots__ = ()

    def blocks(self) -> Sequence[Block]:
        """Return what is told, in order."""
        raise NotImplementedError

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text  # noqa: PLC0415  (what an import does not need)

        for block in self.blocks():
            for line in block.lines:
                yield Text(line, style="yellow" if line.startswith("!") else "")
            if block.rows:
                yield rich_table(block.header, block.rows, block.wraps)

    def __str__(self) -> str:
        return printed(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the same as HTML; names are escaped."""
        return f"<div>{''.join(_html(block) for block in self.blocks())}</div>"


def printed(told: Any) -> str:
    """Return the plain text of what rich can print."""
    from rich.console import Console  # noqa: PLC0415

    console = Console(file=io.StringIO(), width=120)
    console.print(told)
    written: Any = console.file
    return str(written.getvalue())


def rich_table(header: Sequence[str], rows: Sequence[Sequence[str]], wraps: str | None = None) -> Table:
    """Return a table for rich; where it is too wide, the column ``wraps`` is folded, or all of them."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    for title in header:
        table.add_column(Text(title), overflow="fold", no_wrap=wraps is not None and title != wraps)
    for row in rows:
        table.add_row(*map(Text, row))  # what a user named is no markup
    return table


def _html(block: Block) -> str:
    lines = "".join(f"<div>{escape(line)}</div>" for line in block.lines)
    if not block.rows:
        return lines
    head = "".join(f"<th>{escape(title)}</th>" for title in block.header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in block.rows)
    return f"{lines}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
