"""A run in a terminal or a notebook: the scorecard as a table, with what the map contributed and what was assumed."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from forcedflow.report.definitions import GROUPS, MEASURES
from forcedflow.report.told import printed
from forcedflow.report.words import contribution, shown, tone

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from forcedflow.record import Run

__all__ = ["Summary"]

_TONES = {"good": "green", "bad": "red", "": ""}


class Summary:
    """A run's scorecard: prints as text, shows as HTML in a notebook, and renders in ``rich.print``.

    Examples
    --------
    >>> import forcedflow as ff
    >>> "Max drawdown" in str(ff.Summary(ff.run("simulated", end="2025-01-04")))
    True
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def title(self) -> str:
        """Strategy and dataset."""
        return f"{self._run.config['strategy']} on {self._run.config['dataset']}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich import box  # noqa: PLC0415  (what an import does not need)
        from rich.columns import Columns  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        yield Text(self.title, style="bold")
        for warning in self._run.summary.get("warnings", []):
            yield Text(f"! {warning}", style="yellow")
        tables = []
        for group in GROUPS:
            table = Table(title=group, box=box.SIMPLE_HEAD, show_header=False, title_justify="left")
            table.add_column()
            table.add_column(justify="right")
            for measure in MEASURES:
                if measure.group == group:
                    style = _TONES[tone(measure, self._run.scorecard)]
                    table.add_row(measure.title, Text(shown(measure, self._run.scorecard), style=style))
            tables.append(table)
        yield Columns(tables)
        yield Text(contribution(self._run.blind))

    def __str__(self) -> str:
        return printed(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the same as HTML; names are escaped."""
        warnings = "".join(f"<li>{escape(text)}</li>" for text in self._run.summary.get("warnings", []))
        groups = "".join(
            '<table style="display:inline-table;vertical-align:top;margin:0 24px 12px 0">'
            f'<caption style="text-align:left"><b>{group}</b></caption>'
            + "".join(
                f'<tr title="{escape(m.definition)}"><td style="text-align:left">{escape(m.title)}</td>'
                f'<td style="text-align:right">{escape(shown(m, self._run.scorecard))}</td></tr>'
                for m in MEASURES
                if m.group == group
            )
            + "</table>"
            for group in GROUPS
        )
        said = escape(contribution(self._run.blind))
        return f"<div><b>{escape(self.title)}</b><ul>{warnings}</ul>{groups}<p>{said}</p></div>"
