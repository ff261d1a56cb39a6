"""Tables of events: columns over rows, read-only, complete."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from forcedflow.tables import EVENT_COLUMNS, EventKind, Events


def columns(rows: int = 5) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    numbers = {name: np.arange(rows) + 100.0 * k for k, name in enumerate(EVENT_COLUMNS)}
    return numbers | {"kind": np.full(rows, float(EventKind.ZONE_SWEPT))}


def test_columns_come_back_as_they_went_in() -> None:
    given = columns()
    for events in (Events(**given), Events(*given.values())):
        assert len(events) == 5
        for name in EVENT_COLUMNS:
            column = getattr(events, name)
            assert column.tolist() == given[name].tolist()
            assert column.flags.c_contiguous
            assert not column.flags.writeable
            assert column is getattr(events, name)


def test_rows_are_views_that_say_the_same() -> None:
    events = Events(**columns())
    for k, event in enumerate(events):
        assert event == events.row(k) == events.row(k - 5)
        assert [event.to_dict()[name] for name in EVENT_COLUMNS] == [getattr(events, n)[k] for n in EVENT_COLUMNS]
        assert event.kind is EventKind.ZONE_SWEPT
        assert event.alone() == events[k : k + 1]
        assert repr(event).startswith(f"Event(bar={k}, ts={100 + k}, kind=<EventKind.ZONE_SWEPT: 2>, side=")
    with pytest.raises(IndexError):
        events.row(5)
    assert events.row(0) != events.row(1)
    assert events.row(0) != "event"


def test_events_are_picked_replaced_and_copied() -> None:
    events = Events(**columns())
    assert events[::-1][::-1] == events == events[np.ones(5, bool)] == copy.deepcopy(events)
    assert pickle.loads(pickle.dumps(events[1:3])) == events[1:3] != events[2:4]
    other = events.replace(close=events.close + 1)
    assert other.close.tolist() == (events.close + 1).tolist()
    assert other != events == other.replace(close=events.close)
    nan = events.replace(far=np.full(5, np.nan))
    assert nan == events.replace(far=np.full(5, np.nan))  # equal to the bit
    assert len({nan.row(0), events.row(0), nan[:1].row(0)}) == 2


def test_events_are_complete_and_cannot_be_changed() -> None:
    given = columns()
    with pytest.raises(TypeError, match=r"each of EVENT_COLUMNS once: \['far'\]"):
        Events(**{name: column for name, column in given.items() if name != "far"})
    with pytest.raises(TypeError, match=r"\['colour'\]"):
        Events(**given, colour=given["far"])
    with pytest.raises(TypeError, match="given twice"):
        Events(given["bar"], **given)
    with pytest.raises(ValueError, match="'far' has 3 rows, 'bar' has 5"):
        Events(**given | {"far": np.zeros(3)})
    events = Events(**given)
    with pytest.raises(AttributeError, match="read-only"):
        events.close = given["close"]
    with pytest.raises(TypeError, match="unhashable"):
        hash(events)
