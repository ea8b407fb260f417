"""The steps of a promotion, in order; the last one moves the champion's alias."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pneumo.registry import card, gates, history, records, switch
from pneumo.registry.contest import contest, fairness_row
from pneumo.registry.course import Course, decide
from pneumo.registry.query import query_row
from pneumo.stages import PolicyRow


def register(course: Course) -> None:
    """Register the model, or go on with a version of the same evaluation that an earlier run left."""
    tracker, best = course.tracker, course.evaluation
    found = [item for item in tracker.versions(course.name) if item.tags.get(records.KEY) == best.key]
    if found:
        course.version = found[-1].version
        return
    records.keep(tracker, best, course.data)
    tags = records.version_tags(best, course.data, course.parent_run)
    course.version = tracker.register(best.model_uri, course.name, card.short(best, course.data), tags)
    course.undo.callback(tracker.delete_version, course.name, course.version)


def challenge(course: Course) -> None:
    """Point the challenger's alias at the version."""
    alias = course.settings.registry.challenger
    switch.move(course.tracker, course.name, alias, course.standing.challenger, course.version, course.undo)


def judge(course: Course) -> None:
    """Fill in the rows: figures, load-and-query, comparison with the champion."""
    policy = course.settings.promotion
    course.rows += gates.figure_rows(course.evaluation, policy)
    champion = course.standing.champion
    found = course.tracker.version(course.name, champion) if champion else None
    # Either takes seconds to start a process in which one core is busy, so they start together.
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(query_row, course.tracker, course.name, course.version, course.evaluation, course.data)
        known = (course.evaluation, course.data, course.given)
        course.contest = contest(course.tracker, found, *known) if found else None
        course.rows.append(asked.result())
    if course.contest is None:
        return
    course.rows.append(fairness_row(course.contest))
    if course.contest.comparison:
        champion, images = course.contest.champion, course.contest.images
        course.rows.append(gates.comparison_row(course.contest.comparison, champion, images, policy))


def ask_person(course: Course) -> None:
    """Add a row with a person's word, if one is wanted and every other gate holds; others may promote meanwhile."""
    if not (course.settings.promotion.approval and course.approve and course.passed):
        return
    course.lock.release()
    try:
        word = course.approve(list(course.rows), course.evaluation)
    finally:
        switch.acquire(course.lock)
    course.rows.append(PolicyRow(name="a person's word", limit="approved", value=word.said, passed=word.approved))


def record(course: Course) -> None:
    """Keep decision and model card with the runs, and the card as the version's description."""
    tracker, decision = course.tracker, decide(course)
    evidence = {
        "decision": decision.model_dump(mode="json"),
        "evaluation": course.evaluation.model_dump(mode="json"),
        "contest": course.contest.model_dump(mode="json") if course.contest else None,
        "external": [item.model_dump(mode="json") for item in course.external],
        "policy": course.settings.promotion.model_dump(mode="json"),
        "dataset": course.data.digest,
    }
    tracker.log_text(course.parent_run, json.dumps(evidence, indent=1), "promotion/decision.json")
    written = card.write(
        course.evaluation,
        course.data,
        decision,
        course.external,
        tracker.uri,
        tracker.run_url(course.evaluation.run_id),
    )
    tracker.log_text(course.parent_run, written.html, "promotion/card.html")
    tracker.log_text(course.evaluation.run_id, written.html, "card.html")
    tracker.describe_version(course.name, course.version, written.markdown)


def announce(course: Course) -> None:
    """Write the decision into the history; a promotion is announced before it happens."""
    entry = course.entry = history.new_entry(
        course.standing.number,
        course.home,
        "promotion" if course.passed else "rejection",
        course.version,
        course.evaluation.name,
        course.standing.champion,
        decide(course).reason,
        course.evidence,
    )
    if course.passed:
        switch.claim(course.tracker, course.name, entry, course.settings.registry, course.undo)
    else:
        history.append(course.tracker, course.name, entry)


def keep_previous(course: Course) -> None:
    """Look once more whether nobody else is at it, and point `previous` at the champion that is about to go."""
    names, before = course.settings.registry, course.standing
    if course.passed and course.entry:
        switch.require_alone(course.tracker, course.name, course.entry, names)
    if course.passed and before.champion:
        switch.move(course.tracker, course.name, names.previous, before.previous, before.champion, course.undo)


def crown(course: Course) -> None:
    """Move the champion's alias: one call, and the last one."""
    alias = course.settings.registry.champion
    if course.passed:
        switch.move(course.tracker, course.name, alias, course.standing.champion, course.version, course.undo)


STEPS: tuple[Callable[[Course], None], ...] = (
    register,
    challenge,
    judge,
    ask_person,
    record,
    announce,
    keep_previous,
    crown,
)
