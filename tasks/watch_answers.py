"""The hourly check of answers: what the champion says now and said at first, and how often readers agree."""

from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from pneumo.data.privacy.pseudonyms import patient_secret
from pneumo.monitoring.answers_page import page
from pneumo.monitoring.expected_auc import USUAL
from pneumo.monitoring.levels import Level, level
from pneumo.monitoring.realised import unlearned
from pneumo.monitoring.shadow_comparison import compare_shadows
from pneumo.monitoring.version_figures import Told, VersionFigures, by_version, falls, news, numbers_of
from pneumo.operations.notification_texts import answers_changed
from pneumo.registry.champion import champion_manifest
from pneumo.registry.history import history
from pneumo.registry.validation_answers import validation_answers
from pneumo.serving import answer_log, shadow_log
from pneumo.serving.feedback import agreed
from pneumo.serving.feedback import daily_log as feedback_log
from pneumo.settings import Settings
from tasks.support.notification_channels import notify
from tasks.support.tracking import tracker
from tasks.watch_images import ask_for_retraining, series

TOLD = "told.answers"  # tag of a source's series


@task(name="answers", task_run_name="answers", cache_policy=NO_CACHE)
def judge(source: str, synthetic: bool, champion: str, settings: Settings) -> list[str]:
    """Add the champion's answers to the source's series, and ask for a retraining beyond a limit; returns why."""
    answer_log.pack(settings.home)
    feedback_log(settings.home).pack()
    shadow_log.daily_log(settings.home).pack()
    model, limits = settings.model_name(synthetic), settings.watch
    found, _ = answer_log.read(settings.home)
    mine = found[(found["model"] == model) & (found["version"] == champion)]
    if mine.empty:
        return []
    labels = agreed(settings.home)[0].labels
    if manifest := champion_manifest(settings, synthetic, settings.home):
        labels = unlearned(labels, manifest, patient_secret(settings.home))
    usual = _validation(settings, model, champion)
    now = datetime.now(UTC)
    (figures,) = by_version(mine, labels, limits.answers_days, now, limits, usual)
    moves = [(row.when, row.version) for row in history(settings, synthetic) if row.took_effect]
    highest = figures.change.usual_out_of_distribution + limits.out_of_distribution_rise
    pairs, _ = shadow_log.read(settings.home)
    shadows = compare_shadows(pairs[pairs["model"] == model], labels, limits.minimum_feedback)
    reasons, told = _record(figures, source, now, settings)
    shown = page(model, found[found["model"] == model], labels, moves, now, highest, shadows, told.alerts)
    tracker().log.text(series(source), shown, "answers.html")
    return reasons


def _record(figures: VersionFigures, source: str, now: datetime, settings: Settings) -> tuple[list[str], Told]:
    tracking, run_id = tracker(), series(source)
    numbers = numbers_of(figures)
    step = len(tracking.runs.series(run_id, "answers/feedback"))
    tracking.log.metrics(run_id, {f"answers/{name}": value for name, value in numbers.items()}, step=step)
    for name, words in (("expected AUC", figures.estimate.withheld), ("realised figures", figures.realised.withheld)):
        if words:
            get_run_logger().info("%s withheld: %s", name, words)
    before = Told.read(TOLD, tracking.runs.tags(run_id).get(TOLD, "{}"))
    reasons, after = news(falls(figures, settings.watch), figures.version, before, now)
    if reasons:
        reason = "; ".join(reasons)
        ask_for_retraining(source, reason)
        notify(answers_changed(reason, tracking.runs.url(run_id)), settings)
        tracking.runs.set_tags(run_id, {TOLD: after.model_dump_json()})
    return reasons, after


def _validation(settings: Settings, model: str, version: str) -> Level | None:
    rows = validation_answers(settings, model, version)
    return None if rows is None else level(rows.assign(out_of_distribution=USUAL))
