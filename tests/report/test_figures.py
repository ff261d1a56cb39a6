"""Figures of the tearsheet: what they draw is what the tables say."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from forcedflow.record import Run
from forcedflow.report import figures
from forcedflow.report.trade_measures import closed
from report.synthetic import CASH, START

DAY = 86_400_000_000_000


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def test_every_trade_is_in_the_histogram(run: Run) -> None:
    titles = [node.text or "" for node in parsed(figures.r_histogram(run.trades, closed(run.trades))).iter("title")]
    assert sum(int(title.rsplit(": ")[-1]) for title in titles) == len(run.trades["r"])


def test_every_trade_is_a_point_that_knows_its_row(run: Run) -> None:
    points = list(parsed(figures.excursions(run.trades, closed(run.trades))).iter("circle"))
    assert [int(point.attrib["data-trade"]) for point in points] == list(range(len(run.trades["r"])))
    won = [point.attrib["fill"] == "var(--good)" for point in points]
    assert won == (run.trades["net"] > 0.0).tolist()


def test_too_many_points_are_sampled_and_it_is_said(run: Run) -> None:
    many = {name: np.tile(column, 100) for name, column in run.trades.items()}
    drawn = figures.excursions(many, closed(many))
    assert drawn.count("<circle") == 1500
    assert "4000 closed trades" in drawn
    assert "every 3th shown" in drawn


def test_the_bridge_leads_from_gross_to_net(run: Run) -> None:
    said = parsed(figures.cost_bridge(run.scorecard)).attrib["aria-label"]
    steps = [float(text) for text in re.findall(r"[+-]\d+\.\d\d", said)]
    assert sum(steps[:-1]) == pytest.approx(steps[-1], abs=0.03)
    assert "Fees" in said


def test_what_the_named_costs_leave_is_other(run: Run) -> None:
    card = run.scorecard | {"fees": 0.0, "spread": 0.0}
    assert "Other" in figures.cost_bridge(card)
    assert "Other" not in figures.cost_bridge(run.scorecard)


def test_months_compound_to_the_whole() -> None:
    ts = START + DAY * np.arange(1, 100)
    equity = {"ts": ts, "equity": CASH * np.exp(0.001 * np.arange(1, 100))}
    table = figures.monthly_table(equity, CASH)
    shown = [float(text.replace("−", "-")) for text in re.findall(r">([+−][\d.]+)%<", table)]
    assert np.prod(1 + np.array(shown[:-1]) / 100) == pytest.approx(1 + shown[-1] / 100, abs=2e-3)
    assert shown[-1] == pytest.approx(100 * (np.exp(0.099) - 1), abs=0.06)
    assert "May" in table


def test_nothing_to_draw_says_why(run: Run) -> None:
    none = {name: column[:0] for name, column in run.trades.items()}
    of_trades = (draw(none, closed(none)) for draw in (figures.r_histogram, figures.excursions))
    for drawn in (*of_trades, figures.cost_bridge({})):
        assert drawn.startswith('<p class="muted">Nothing to draw')
    assert "no bars" in figures.monthly_table({"ts": np.empty(0, np.int64)}, CASH)
