"""Evidence end to end: findings, verdicts, the page and the command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forcedflow import cli
from forcedflow.data import Bars, Dataset
from forcedflow.errors import SettingsError
from forcedflow.ledger import add_trials
from forcedflow.report.chance import expected_best
from forcedflow.report.evidence_page import evidence_page
from forcedflow.study.evidence import survey
from forcedflow.study.evidence.evidence import EvidenceSettings, NullTest, _verdict, evidence, report, symmetry_check
from forcedflow.study.evidence.hypothesis import hypothesis_names, load_hypothesis
from forcedflow.study.evidence.inference import Estimate
from forcedflow.study.evidence.registry import Registry
from forcedflow.study.evidence.size import garch_market

FEW = EvidenceSettings(placebos=19)


@pytest.fixture(scope="module")
def market() -> Dataset:
    return garch_market(6, 3500)


@pytest.fixture(scope="module")
def told(market: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    registry = Registry(tmp_path_factory.mktemp("registry") / "r.jsonl")
    return report(market, evidence(market, hypothesis_names(), settings=FEW, registry=registry), "the command")


def test_each_hypothesis_has_all_its_nulls_and_a_verdict(told: dict[str, Any]) -> None:
    assert [found["name"] for found in told["findings"]] == list(hypothesis_names())
    json.dumps(told, allow_nan=False)
    for found in told["findings"]:
        assert [test["null"] for test in found["tests"]] == list(load_hypothesis(found["name"]).nulls)
        assert found["verdict"] in {"found", "not found", "unclear", "too few"}
        assert re.match(r"(Found|Not found|Unclear|Can't tell)\b", found["sentence"])
        assert found["registration"].startswith("registered 20")
        main = found["tests"][0]
        assert len(main["drawn"]) == 19
        if main["effect"] is not None:
            assert main["low"] <= main["effect"] <= main["high"]
            assert main["mde"] > 0
            assert 1 / 20 <= main["p"] <= main["p_family"] <= 1 or found["verdict"] != "found"
            assert main["n"] >= 10


def test_the_same_seed_gives_the_same_findings(market: Dataset) -> None:
    first, again = (report(market, evidence(market, ["magnet"], settings=FEW)) for _ in range(2))
    assert first == again
    other = report(market, evidence(market, ["magnet"], settings=EvidenceSettings(placebos=19, seed=1)))
    assert first["findings"][0]["tests"][0]["drawn"] != other["findings"][0]["tests"][0]["drawn"]


def test_an_unfair_pair_is_refused_before_anything_is_replayed_or_registered(market: Dataset, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "r.jsonl")
    with pytest.raises(SettingsError, match="null mirrored is not valid for hypothesis zone_stops"):
        evidence(market, ["magnet", "zone_stops"], nulls=["mirrored"], registry=registry)
    with pytest.raises(SettingsError, match="at least one"):
        evidence(market, [])
    with pytest.raises(SettingsError, match="one name"):
        evidence(market, ["magnet", "magnet"])
    assert not registry.path.exists()


def test_without_scipy_the_extra_is_named(market: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forcedflow.study.evidence.evidence.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'forcedflow\[evidence\]'"):
        evidence(market, ["magnet"])


def test_a_change_after_a_look_reaches_the_report(market: Dataset, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "r.jsonl")
    magnet = load_hypothesis("magnet")
    evidence(market, [magnet], nulls=["mirrored"], registry=registry)
    (finding,) = evidence(market, [magnet.model_copy(update={"horizon": 47})], nulls=["mirrored"], registry=registry)
    assert finding.registration is not None
    assert finding.registration.changed
    assert "changed after a look" in finding.caveats[0]
    assert "changed after a look" in evidence_page(report(market, [finding]))


def estimated(p: float, effect: float = 1.0, reach: float = 0.5) -> Estimate:
    return Estimate(effect, 0.2, 5.0, p, effect - reach, effect + reach, 0.6, 50, 30, "by hand")


def test_verdicts() -> None:
    magnet = load_hypothesis("magnet")

    def judged(*tests: tuple[str, Estimate | None, float | None]) -> tuple[str, str]:
        return _verdict(magnet, tuple(NullTest(n, "t", "s", e, None, f) for n, e, f in tests), None)

    yes, no = estimated(0.01), estimated(0.4, 0.1)
    assert judged(("path_placebo", None, None))[0] == "too few"
    assert judged(("path_placebo", yes, 0.03), ("mirrored", yes, None))[0] == "found"
    verdict, sentence = judged(("path_placebo", yes, 0.03), ("mirrored", no, None))
    assert verdict == "unclear"
    assert "mirrored can explain it" in sentence
    assert judged(("path_placebo", yes, 0.2))[0] == "not found"  # the family decides
    verdict, sentence = judged(("path_placebo", no, None))
    assert verdict == "not found"
    assert "an effect under 0.6 share would probably not have been seen" in sentence
    assert "points the other way" in judged(("path_placebo", estimated(0.99, -1.0), None))[1]


def test_paths_that_are_not_symmetric_are_told(market: Dataset) -> None:
    assert min(symmetry_check(market.bars, 0).values()) > 0.05
    close = np.log(market.bars.close)
    step = np.diff(close, prepend=close[0])
    memory = np.exp(close[0] + np.cumsum(step + 0.3 * np.concatenate(([0.0], step[:-1]))))
    trending = np.exp(close + 3e-4 * np.arange(len(close)))
    for name, path in (("memory", memory), ("drift", trending)):
        bars, _ = Bars.from_columns(
            {
                "ts": market.bars.ts,
                **dict.fromkeys(("open", "high", "low", "close"), path),
                "volume": market.bars.volume,
            }
        )
        assert symmetry_check(bars, 0)[name] < 0.05
    (finding,) = evidence(replace(market, bars=bars), ["magnet"], nulls=["mirrored"])
    assert any("price drifted" in caveat for caveat in finding.caveats)


# --- The page ---


def test_the_page_leads_with_chance_and_where_the_data_falls(told: dict[str, Any]) -> None:
    page = evidence_page(told)
    for found in told["findings"]:
        section = page.split(f'id="{found["name"]}"')[1].split("</section>")[0]
        if found["tests"][0]["t"] is not None:
            picture, table = section.index("Histogram of 19 placebo paths"), section.index('<table class="data">')
            assert picture < table
            assert f"the data lies at t {found['tests'][0]['t']:+.2f}" in section
        for test in found["tests"]:
            assert test["null"] in section
        assert found["digest"] in page
    assert not re.search(r"https?://", page)  # readable without a network
    assert "NaN" not in page.replace("&", "")


def test_the_page_holds_strategies_against_all_that_were_tried(
    market: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FORCEDFLOW_LEDGER", str(tmp_path / "ledger.jsonl"))
    found = evidence(market, ["magnet"], nulls=["mirrored"])
    assert "trial ledger" not in evidence_page(report(market, found))
    add_trials(market.data_hash, market.data_hash, market.name, [f"{k:016x}" for k in range(40)])
    told = report(market, found)
    assert told["trials"] == 40
    years = len(market.bars) * 5 / (365 * 24 * 60)
    assert told["best_without_skill"] == pytest.approx(expected_best(40, years**-0.5))
    assert "The trial ledger counts 40 settings" in evidence_page(told)


def test_what_a_file_named_is_escaped(market: Dataset) -> None:
    evil = load_hypothesis("magnet").model_copy(update={"title": "<script>alert(1)</script>", "nulls": ("mirrored",)})
    page = evidence_page(report(replace(market, title="<img src=x>"), evidence(market, [evil])))
    assert "<script>alert" not in page
    assert "<img" not in page


def test_too_few_events_make_a_page_too(market: Dataset) -> None:
    never = load_hypothesis("magnet").model_copy(update={"condition": "fuel < 0"})
    (finding,) = evidence(market, [never], settings=FEW)
    assert finding.verdict == "too few"
    assert "too few events or days" in evidence_page(report(market, [finding]))


def test_the_survey_is_written_in_words(told: dict[str, Any]) -> None:
    page = survey.page([told, told], "the command")
    assert "5 hypotheses on 2 datasets, 10 pairs" in page
    for found in told["findings"]:
        assert found["sentence"] in page


# --- The command ---


def test_the_command_writes_a_report_and_registers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["forcedflow", "evidence", "simulated", "--hypothesis", "magnet", "--null", "mirrored", "--out", "there"]
    monkeypatch.setattr("sys.argv", [*line, "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["findings"][0]["tests"][0]["null"] == "mirrored"
    assert (tmp_path / "there" / "evidence.html").read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "there" / "evidence.json").read_text())["command"].startswith("forcedflow evidence")
    assert len((tmp_path / "results" / "hypotheses.jsonl").read_text().splitlines()) == 2
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2  # the folder exists: nothing is overwritten, nothing is registered
    assert len((tmp_path / "results" / "hypotheses.jsonl").read_text().splitlines()) == 2


def test_the_command_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "sys.argv", ["forcedflow", "evidence", "simulated", "--hypothesis", "zone_stops", "--null", "mirrored"]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "null mirrored is not valid for hypothesis zone_stops" in capsys.readouterr().err.splitlines()[-1]
