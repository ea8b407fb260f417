"""The page on answers shows days, weeks and changes of the champion, and asks nothing of other hosts."""

import re
from datetime import timedelta

import pandas as pd
import pytest

from pneumo.monitoring.answers_page import page
from pneumo.monitoring.version_figures import Alert
from tests.monitoring.test_version_figures import NOW, answers


def test_days_weeks_and_changes_of_the_champion_are_drawn():
    table, truth = answers(400, days=40, strange=0.25)
    moves = [(NOW - timedelta(days=20), "3"), (NOW - timedelta(days=400), "1")]
    shown = page("lungs", table, truth, moves, NOW, 0.11)
    assert shown.count("<svg") == 5 and shown.count("stroke-dasharray") == 5
    assert len(re.findall(r"<polyline[^>]*points=\"([^\"]*)\"", shown)) == 7
    realised, expected = (line.count(",") for line in re.findall(r"<polyline[^>]*points=\"([^\"]*)\"", shown)[3:5])
    assert expected < realised  # the last weeks have many out-of-distribution images
    assert not re.search(r"<script|<link|<img|url\(|https?:|[a-z]+=\"//", shown)
    places = [float(x) for x, _ in re.findall(r"(-?[\d.]+),(-?[\d.]+) ", shown)]
    assert min(places) == pytest.approx(50, abs=25) and max(places) <= 810


def test_alerts_are_told_and_drawn_on_every_chart():
    table, truth = answers(400, days=40)
    alerts = [Alert(when=NOW - timedelta(days=days), text=f"it fell {days} days ago") for days in (10, 400)]
    shown = page("lungs", table, truth, [], NOW, 0.11, alerts=alerts)
    assert "it fell 10 days ago." in shown and "400 days" not in shown
    assert shown.count(">alert</text>") == shown.count("<svg") == 5


def test_a_week_with_two_champions_has_a_figure_of_each_at_the_time_of_its_answers():
    table, truth = answers(400, days=14)
    table["version"] = ["3"] * 200 + ["4"] * 200
    wrong = truth.map({"NORMAL": "PNEUMONIA", "PNEUMONIA": "NORMAL"})
    truth = pd.concat([wrong.iloc[:200], truth.iloc[200:]])
    lines = re.findall(r"<polyline[^>]*points=\"([^\"]*)\"", page("lungs", table, truth, [], NOW, 1))
    points = [tuple(map(float, point.split(","))) for point in lines[3].split()]
    middle = 50 + 760 / 2
    assert all((y > 85) == (x < middle) for x, y in points) and len(points) >= 4
    assert points == sorted(points)
    sensitivity, specificity = ([float(point.split(",")[1]) for point in line.split()] for line in lines[5:])
    assert len(sensitivity) == len(specificity) == len(points)
    assert max(sensitivity[-1], specificity[-1]) < 85 < min(sensitivity[0], specificity[0])


def test_versions_that_answered_at_the_same_times_have_a_figure_each():
    table, truth = answers(400, days=14)
    both = pd.concat([table.assign(version="3"), table.assign(version="4")])
    alone, beside = (
        re.findall(r"<polyline[^>]*points=\"([^\"]*)\"", page("lungs", rows, truth, [], NOW, 1))
        for rows in (table, both)
    )
    assert [line.count(",") for line in beside[3:]] == [2 * line.count(",") for line in alone[3:]]


def test_where_nothing_was_answered_the_page_says_so():
    table, truth = answers(20)
    shown = page("<b>lungs</b>", table.iloc[:0], truth, [], NOW, 0.11)
    assert "<svg" not in shown and "Nothing was answered." in shown and "<b>lungs" not in shown
