"""What decides a sweep: the same config over the same data gives the same table."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from forcedflow.data.times import duration_ns
from forcedflow.report.definitions import SWEEP_MEASURES
from forcedflow.settings import Settings
from forcedflow.study.sweeps.score import Level  # noqa: TC001  (pydantic reads it)

__all__ = ["SweepConfig", "WalkForward"]

_MEASURES = tuple(measure.name for measure in SWEEP_MEASURES)


class WalkForward(Settings):
    """Choose on one span, trade the next, and go on: what a choice was worth out of sample."""

    mode: Literal["rolling", "anchored"] = Field(
        default="rolling",
        description="rolling: the training span keeps its length; anchored: it begins at the first bar",
    )
    train: str = Field(description="length of the training span, such as 90d; of the first one where anchored")
    test: str = Field(description="length of each test span, such as 30d")
    purge: str = Field(
        default="0d", description="left out between training and test: at least as long as positions are held"
    )
    embargo: str = Field(default="0d", description="left out beside that, against what fades slowly, such as the map")
    choose: Literal["plateau", "best"] = Field(
        default="plateau", description="by the score of a point with its neighbours, or by its own score alone"
    )

    @field_validator("train", "test", "purge", "embargo")
    @classmethod
    def _duration(cls, text: str) -> str:
        duration_ns(text)
        return text

    @model_validator(mode="after")
    def _spans(self) -> Self:
        if not duration_ns(self.train) or not duration_ns(self.test):
            raise ValueError("train and test must not be empty")
        return self


class SweepConfig(Settings):
    """All that decides a sweep."""

    datasets: tuple[str, ...] = Field(min_length=1)
    strategies: tuple[str, ...] = Field(min_length=1)
    grid: dict[str, str | tuple[Any, ...]] = Field(default_factory=dict)
    where: tuple[str, ...] = ()
    sample: Literal["random", "sobol"] | None = None
    points: int = Field(default=100, ge=1, description="points to sample")
    search: Literal["optuna"] | None = None
    trials: int = Field(default=100, ge=1, description="points to search")
    batch: int = Field(default=8, ge=1, description="points asked for at a time in a search")
    score: str = Field(default="sharpe", description="measure to maximise; with a minus, to minimise")
    params: dict[str, Any] = Field(default_factory=dict)
    market: dict[str, Any] = Field(default_factory=dict)
    account: dict[str, Any] = Field(default_factory=dict)
    start: str | None = None
    end: str | None = None
    repair: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    level: Level = "compact"
    walk_forward: WalkForward | None = None

    @field_validator("score")
    @classmethod
    def _measure(cls, score: str) -> str:
        if score.removeprefix("-") not in _MEASURES:
            raise ValueError(f"no such measure; there are {', '.join(_MEASURES)}")
        return score

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.sample and self.search:
            raise ValueError("sample or search, not both")
        if self.search and (len(self.datasets) > 1 or len(self.strategies) > 1):
            raise ValueError("a search takes one dataset and one strategy: points of one say nothing about another")
        if self.walk_forward and self.search:
            raise ValueError("a walk-forward chooses from a grid or a sample; a search has seen the test spans")
        if self.walk_forward and self.level == "audit":
            raise ValueError("a walk-forward has levels score and compact; run the chosen settings to see them whole")
        if len(set(self.datasets)) < len(self.datasets) or len(set(self.strategies)) < len(self.strategies):
            raise ValueError("a dataset or strategy is named twice")
        return self
