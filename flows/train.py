"""The main job: from a data source to a champion."""

from prefect import flow

from pneumo.flow_parameters import Backbones, Batch, Epochs, Minutes, Places, Rate, Seed, Size, Strength
from pneumo.records.base import Fit
from pneumo.registry.promotion.proposal import choose
from pneumo.training.candidates.presets import Name as Preset
from pneumo.training.candidates.presets import specs_of
from pneumo.training.candidates.search import with_searched
from pneumo.training.candidates.spec import Precision
from tasks import conclusion, evaluation, operations, pages, promotion, training
from tasks import data as data_tasks
from tasks import search as search_tasks
from tasks.support import engine
from tasks.support.naming import dated
from tasks.support.tracking import parent_run, tracker


@flow(name="pneumonia", flow_run_name=dated("train"))
def train(  # noqa: PLR0913, PLR0915 - the flow's form: one field each; its body: a line for each stage
    # What is asked first: how much time, which images, which networks.
    preset: Preset = "standard",
    data: str = "phantom",
    weights: str | None = None,
    backbones: Backbones = None,
    # Further candidates, and a search.
    ensemble: bool = True,
    embeddings: Places = None,
    search_minutes: Minutes = 0,
    # The recipe of each.
    image_size: Size = None,
    fit: Fit = "squash",
    augmentation: Strength = None,
    epochs: Epochs = None,
    batch_size: Batch = None,
    learning_rate: Rate = None,
    precision: Precision = "float32",
    seed: Seed = 0,
) -> None:
    """Ingest, validate, split, preprocess, train every backbone, evaluate, and promote the best on evidence.

    Args:
        preset: quick (a linear head on frozen features), standard, or best (three networks of each backbone).
        data: Folder, archive, s3://bucket/prefix, kaggle:owner/name, or phantom: images drawn by pneumo.
        weights: imagenet, a folder, s3://bucket/prefix, or none. Empty: imagenet; none for the phantom set.
        backbones: Names of keras.applications, with a width if they have one: MobileNetV2:0.35. Empty: the defaults.
        ensemble: Add the mean of all backbones as one more candidate.
        embeddings: Parquet files of embeddings made elsewhere, a folder of them, or s3://; each is one more candidate.
        search_minutes: Minutes of a search, with the first backbone, for settings that all then use. 0: no search.
        image_size: Pixels a side, 32 to 1024. Empty: 160; 96 for the phantom set.
        fit: squash to a square, or pad and keep the aspect.
        augmentation: Strength of augmentation, 0 (none) to 3. Empty: the default.
        epochs: Epochs of fine-tuning, 0 to 1000; 0 trains only the head on frozen features. Empty: the default.
        batch_size: Images in a batch, 1 to 1024. Empty: the default.
        learning_rate: Peak learning rate, above 0 to 1. Empty: the default.
        precision: Number format of training. mixed_bfloat16 is for GPUs that have it; the model is kept in float32.
        seed: 0 to 4294967295. The same seed on the same machine gives the same weights.
    """
    recipe = dict(locals())
    with operations.guard() as settings, parent_run(recipe) as run_id:
        home = settings.home
        pages.link(tracker().runs.url(run_id))
        inventory = data_tasks.ingest(data, home, settings.data)
        reference = promotion.reference(settings, inventory.synthetic, home)
        report = data_tasks.validate(inventory, home, settings.gate, reference)
        data_tasks.require(report, run_id)
        version = data_tasks.split(inventory, report, home)
        operations.note_cause(version, inventory, recipe, settings, run_id)
        data_tasks.describe(version, data_tasks.explore(version, report, home), run_id)
        data_tasks.push(version, settings.data)
        external = data_tasks.external_sets(version, settings)
        linear = training.train_on_embeddings(embeddings or [], version, settings, run_id)
        specs = specs_of(recipe, version.synthetic)
        operations.require_space(version, specs, home)
        if search_minutes:
            specs = with_searched(specs, search_tasks.search(specs[0], search_minutes, version, fit, home, run_id))
        store = data_tasks.preprocess(version, home, specs[0].size, fit)
        candidates, failures = engine.train_all(specs, version, store, settings, run_id)
        if ensemble and len(candidates) > 1:
            candidates.append(training.combine(candidates, version, store, home, run_id))
        evaluations = evaluation.evaluate_all(
            [*((candidate, store) for candidate in candidates), *linear], version, settings.promotion, home, run_id
        )
        best = choose(evaluations, settings.promotion.embeddings_may_win)
        elsewhere = evaluation.score_elsewhere(best, external, home)
        audits = evaluation.audit_shift(specs[0], version, store, external, home, run_id)
        decision = promotion.promote(evaluations, version, elsewhere, settings, home, run_id, audits)
        labels = evaluation.audit_labels(specs[0], version, store, best, home, run_id)
        summary = conclusion.summarize(
            evaluations, failures, version, elsewhere, decision, home, run_id, audits, labels
        )
        operations.conclude(summary, decision, audits, settings)
