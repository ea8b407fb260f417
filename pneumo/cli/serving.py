"""`pneumo predict | serve | app | export`: use the champion."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pneumo.settings import Settings, load_settings
from pneumo.tracking import ModelVersion, Tracker
from pneumo.words import counted

app = typer.Typer()
console = Console()
quiet = Console(stderr=True)
Model = Annotated[str | None, typer.Option(help="models:/name/version or models:/name@alias; default: the champion.")]
Phantom = Annotated[bool, typer.Option("--phantom", help="Use the champion of the drawn images instead of real ones.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Form = StrEnum("Form", {"litert": "litert", "onnx": "onnx"})


@app.command()
def predict(
    paths: Annotated[
        list[str], typer.Argument(help="Image files, folders, s3://bucket/prefix, dicomweb://host/path?StudyDate=...")
    ],
    out: Annotated[
        str, typer.Option(help="Table to write: .csv or .parquet, also s3://bucket/key.")
    ] = "predictions.csv",
    model: Model = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="PNEUMONIA from this probability on; default: the model's.")
    ] = None,
    phantom: Phantom = False,
    back: Annotated[bool, typer.Option("--send-back", help="Store reports and heat maps in the archive, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score X-rays: for each image path, probability, label and error. A run that was cut off continues."""
    from pneumo.serving.batch import scoring
    from pneumo.serving.results.send_back import require_archive, send_back

    if back:
        require_archive(paths)
    settings = load_settings()
    tracker, version = _chosen(settings, model, phantom)
    words = TextColumn("[progress.description]{task.description}")
    with Progress(words, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=quiet) as bar:
        task = bar.add_task(f"loading {version.name} version {version.version}", total=None)

        def follow(done: int, total: int, what: str = "scoring") -> None:
            bar.update(task, description=what, completed=done, total=total)

        done = scoring.predict(
            tracker, version, paths, out, settings.home, settings.data, threshold, follow, settings.serve.uncertain
        )
        tell = partial(follow, what="sending back")
        sent = send_back(tracker, version, done.table, settings.home, settings.data, threshold, tell) if back else None
    if done.note:
        quiet.print(done.note, highlight=False, soft_wrap=True, markup=False)
    if as_json:
        more = {"sent_back": sent.model_dump()} if sent else {}
        console.print_json(data={"model": version.uri, **done.model_dump(mode="json"), **more})
        return
    console.print(
        f"{done.out}: {counted(done.images, 'image')} by {version.name} version {version.version}, "
        f"{done.positive} PNEUMONIA, {done.errors} unreadable, {done.out_of_distribution} out-of-distribution"
        + (f"; {sent.sent} sent back, {sent.before} had been before" if sent else ""),
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


@app.command()
def serve(
    model: Model = None,
    phantom: Phantom = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: serve.host of mlflow.yaml.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: serve.port of mlflow.yaml.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Start without a model and wait for one; /ready says why.")
    ] = False,
) -> None:
    """Score X-rays over HTTP with the champion, and follow it when it changes. Ctrl-C ends the service."""
    from pneumo.serving.service import server

    settings = load_settings()
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"serve": settings.serve.model_copy(update=given)})
    server.serve(settings, lambda: _chosen(settings, model, phantom), wait)


@app.command("app")
def open_app(
    model: Model = None,
    phantom: Phantom = False,
    host: Annotated[str, typer.Option(help="Address to listen on; the page has no login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
) -> None:
    """Open a web page that scores an X-ray. Ctrl-C ends it."""
    from pneumo.serving.bundle.registered import load_registered
    from pneumo.serving.page_record import page_record
    from pneumo.serving.web_page import open_page, require_gradio

    require_gradio()
    settings = load_settings()
    tracker, version = _chosen(settings, model, phantom)
    console.print(f"loading {version.name} version {version.version}", highlight=False)
    bundle = load_registered(tracker, version).bundle
    console.print(f"http://{host}:{port}", highlight=False)
    open_page(bundle, f"{version.name} version {version.version}", page_record(settings.home, version), host, port)


@app.command()
def export(
    out: Annotated[
        Path, typer.Argument(dir_okay=False, writable=True, help="File to write, such as model.tflite or model.onnx.")
    ],
    form: Annotated[Form, typer.Option(help="LiteRT (TFLite) or ONNX.")] = Form.litert,
    model: Model = None,
    phantom: Phantom = False,
    as_json: AsJson = False,
) -> None:
    """Write the network for another runtime, after checking that it gives the same probabilities."""
    from pneumo.serving import export as exporting
    from pneumo.serving.bundle.registered import load_registered

    exporting.require_possible(form.value, out.absolute())
    tracker, version = _chosen(load_settings(), model, phantom)
    bundle, example = load_registered(tracker, version)
    done = exporting.export(bundle, form.value, out.absolute(), exporting.comparison_images(example))
    if as_json:
        console.print_json(data={"model": version.uri, **done.model_dump(mode="json")})
        return
    console.print(
        f"{done.path}: {version.name} version {version.version}, {done.megabytes:.1f} MB, probabilities within "
        f"{done.gap:.1g}; how to use it is in {done.spec.name}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _chosen(settings: Settings, model: str | None, phantom: bool) -> tuple[Tracker, ModelVersion]:
    from pneumo.registry.champion import chosen

    tracker = Tracker.of(settings)
    return tracker, chosen(tracker, settings, model, phantom)
