"""The steps of a promotion, in order; the last one moves the champion's alias."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pneumo.evaluation.metrics import LEVEL
from pneumo.registry import card, gates, history, looks, records, switch
from pneumo.registry.contest import contest, fairness_row, test_rows
from pneumo.registry.course import Course, decide
from pneumo.registry.query import query_row
from pneumo.registry.rules import PERSON
from pneumo.stages import Look, PolicyRow
from pneumo.tracking.system import REQUESTER


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
    course.add(*gates.figure_rows(course.evaluation, policy))
    champion, look = course.standing.champion, _look(course)
    found = course.tracker.version(course.name, champion) if champion else None
    spends = look.significance or 1 - LEVEL
    # Either takes seconds to start a process in which one core is busy, so they start together.
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(query_row, course.tracker, course.name, course.version, course.evaluation, course.data)
        known = (course.evaluation, course.data, spends, course.given)
        course.contest = contest(course.tracker, found, *known) if found else None
        course.add(asked.result())
    compared = course.contest.comparison if course.contest else None
    course.look = look if compared else look.model_copy(update={"comparison": 0, "most": 0, "significance": 0.0})
    if course.contest:
        course.add(fairness_row(course.contest))
    if course.contest and compared:
        course.add(gates.comparison_row(compared, course.contest.champion, course.contest.images, policy, look))


def _look(course: Course) -> Look:
    """What it is to decide on these test images now, after all that was decided on them before."""
    champion = course.standing.champion
    rows = history.judged(history.read(course.tracker, course.name), champion)
    images = list(test_rows(course.evaluation)["sha256"])
    return looks.look(rows, images, course.evaluation.key, champion, course.settings.promotion)


def ask_person(course: Course) -> None:
    """Add a row with a person's word, if one is wanted and no other gate refuses; others may promote meanwhile."""
    if not (course.settings.promotion.approval and course.approve and course.passed):
        return
    course.lock.release()
    try:
        word = course.approve(list(course.rows), course.evaluation)
    finally:
        switch.acquire(course.lock)
    course.add(PolicyRow(name=PERSON, limit="approved", value=word.said, passed=word.approved))


def record(course: Course) -> None:
    """Keep decision and model card with the runs, and the card as the version's description."""
    tracker, decision = course.tracker, decide(course)
    evidence = {
        "decision": decision.model_dump(mode="json"),
        "evaluation": course.evaluation.model_dump(mode="json"),
        "contest": course.contest.model_dump(mode="json") if course.contest else None,
        "external": [item.model_dump(mode="json") for item in course.external],
        "shift_audit": [item.model_dump(mode="json") for item in course.audits],
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
        course.audits,
    )
    tracker.log_text(course.parent_run, written.html, "promotion/card.html")
    tracker.log_text(course.evaluation.run_id, written.html, "card.html")
    tracker.describe_version(course.name, course.version, written.markdown)


def announce(course: Course) -> None:
    """Write the decision into the history; a promotion is announced before it happens."""
    decision = decide(course)
    entry = history.new_entry(
        course.standing.number,
        course.home,
        "promotion" if course.passed else "rejection",
        course.version,
        course.evaluation.name,
        course.standing.champion,
        decision.reason,
        course.evidence,
    )
    found = {
        "evaluation": course.evaluation.key,
        "remedy": history.cut(" ".join(decision.remedies)),
        "look": course.look,
        "who": course.tracker.tags(course.parent_run).get(REQUESTER) or entry.who,
    }
    entry = course.entry = entry.model_copy(update=found)
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
