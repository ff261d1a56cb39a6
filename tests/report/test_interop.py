"""What other libraries are given is what the run holds."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import forcedflow as ff
from conftest import skip
from forcedflow.errors import RecordError, SettingsError
from forcedflow.record import Run, is_time
from forcedflow.report import interop
from report.test_oracles import library


def test_returns_give_the_scorecards_measures(run: Run) -> None:
    returns = interop.returns(run)
    assert len(returns) == run.scorecard["days"]
    assert np.prod(1.0 + returns.to_numpy()) - 1.0 == pytest.approx(run.scorecard["total_return"])
    index = pd.DatetimeIndex(returns.index)
    assert index.is_monotonic_increasing
    assert index.tz is None
    assert index[0] == pd.Timestamp("2025-05-01")


def test_quantstats_and_empyrical_read_them(run: Run) -> None:
    returns = interop.returns(run)
    qs, ep = library("quantstats.stats"), library("empyrical")
    assert qs.sharpe(returns, periods=365) == pytest.approx(run.scorecard["sharpe"], rel=1e-9)
    assert ep.sortino_ratio(returns, annualization=365) == pytest.approx(run.scorecard["sortino"], rel=1e-9)
    assert ep.value_at_risk(returns, 0.05) == pytest.approx(-run.scorecard["var_95"], rel=1e-9)


def test_gaps_are_flat_days_or_no_days(run: Run) -> None:
    kept = (run.equity["ts"] < run.equity["ts"][600]) | (run.equity["ts"] > run.equity["ts"][1500])
    gapped = replace(run, equity={name: column[kept] for name, column in run.equity.items()})
    whole = interop.returns(gapped)
    sessions = interop.returns(replace(gapped, summary=gapped.summary | {"calendar": "sessions"}))
    assert len(whole) == len(interop.returns(run))
    assert set(sessions.index) < set(whole.index)
    assert not whole.drop(sessions.index).any()
    assert np.prod(1.0 + whole.to_numpy()) == pytest.approx(np.prod(1.0 + sessions.to_numpy()))


def test_positions_and_transactions_add_up(run: Run) -> None:
    positions, moved = interop.positions(run), interop.transactions(run)
    assert positions.sum(axis=1).iloc[-1] == pytest.approx(run.equity["equity"][-1])
    assert list(positions.columns) == ["btcusdt-5m", "cash"]
    assert len(positions) == len(interop.returns(run))
    assert moved["amount"].abs().sum() == pytest.approx(run.fills["qty"].sum())
    assert (np.sign(moved["amount"]) == run.fills["side"]).all()


@pytest.mark.parametrize("name", interop.TABLES)
def test_every_table_in_three_libraries(run: Run, name: str) -> None:
    if importlib.util.find_spec("polars") is None:
        skip("polars is not installed: uv sync --group check")
    pandas, arrow, polars = interop.to_pandas(run, name), interop.to_arrow(run, name), interop.to_polars(run, name)
    assert list(pandas.columns) == arrow.column_names == polars.columns
    assert len(pandas) == arrow.num_rows == polars.height > 0
    for column in pandas.columns:
        if is_time(column):
            true = getattr(run, name).ts if name == "events" else getattr(run, name)[column]
            assert pd.DatetimeIndex(pandas[column]).as_unit("ns").asi8.tolist() == true.tolist()
            assert arrow[column].cast("int64").to_pylist() == true.tolist()
            assert polars[column].dt.epoch("ns").to_list() == true.tolist()
            continue
        ours = pandas[column].to_numpy()
        for other in (arrow[column].to_pandas().to_numpy(), polars[column].to_numpy()):
            missing = pd.isna(ours)
            assert (pd.isna(other) == missing).all()
            assert (ours[~missing] == other[~missing]).all(), column


def test_an_unknown_table_is_an_error(run: Run) -> None:
    for make in (interop.to_pandas, interop.to_arrow, interop.to_polars):
        with pytest.raises(RecordError, match="has no table 'trade'"):
            make(run, "trade")


def test_missing_polars_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(SettingsError, match=r"forcedflow\[polars\]"):
        interop.to_polars(run, "trades")


def test_a_summary_reads_in_terminal_and_notebook(run: Run) -> None:
    summary = ff.Summary(run)
    text = str(summary)
    assert "zone_entry on btcusdt-5m" in text
    assert "Break-even cost" in text
    assert run.summary["warnings"][0] in text
    assert text == repr(summary)
    hostile = ff.Summary(replace(run, config=run.config | {"strategy": "<script>x</script>"}))
    page = hostile._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;x" in page
    assert page.count("<tr") == len(run.scorecard)
