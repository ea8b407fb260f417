from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.errors import PromotionError
from pneumo.registry.champion import ChampionInfo, champion, champion_manifest, chosen
from pneumo.registry.promotion.state_machine import promote
from pneumo.settings import load_settings
from pneumo.tracking import Tracker
from pneumo.tracking.models.files import ModelFiles


def test_new_data_is_compared_with_the_champions_and_with_nothing_on_a_first_run(world: Any, monkeypatch: Any) -> None:
    assert champion_manifest(world.settings, False, world.home) is None
    assert promote([world.candidate("good", 2.0)], world.version, world.settings, world.home, world.parent).promoted
    found = champion_manifest(world.settings, False, world.home)
    assert found is not None
    assert found.read_bytes() == world.version.manifest.read_bytes()
    assert champion_manifest(world.settings, True, world.home) is None
    monkeypatch.setattr(ModelFiles, "downloaded", lambda *_: pytest.fail("fetched twice"))
    assert champion_manifest(world.settings, False, world.home) == found


def test_what_a_newer_champion_tells_of_the_same_images_is_seen(world: Any) -> None:
    """A digest does not count columns that say how images were taken; a newer pneumo may know more of them."""
    world.policy(tie="promote")
    assert promote([world.candidate("old", 2.0)], world.version, world.settings, world.home, world.parent).promoted
    assert "view" not in pd.read_parquet(champion_manifest(world.settings, False, world.home))
    richer = world.folder / "richer.parquet"
    pd.read_parquet(world.version.manifest).assign(view="PA").to_parquet(richer)
    world.version = world.version.model_copy(update={"manifest": richer})
    assert promote([world.candidate("new", 0.5)], world.version, world.settings, world.home, world.parent).promoted
    assert "view" in pd.read_parquet(champion_manifest(world.settings, False, world.home))


def test_a_champion_names_the_page_of_its_dossier(world: Any) -> None:
    assert promote([world.candidate("good", 2.0)], world.version, world.settings, world.home, world.parent).promoted
    found = champion(world.settings)
    assert found and found.dossier_url and found.run_url.partition("?")[0] in found.dossier_url
    assert "/artifacts/dossier/dossier.html" in found.dossier_url


def test_a_champion_of_other_hands_has_no_data_to_compare_with(world: Any) -> None:
    number = world.tracker.registry.register(world.candidate("foreign", 1.0).model_uri, world.name)
    world.tracker.registry.set_alias(world.name, "champion", number)
    assert champion_manifest(world.settings, False, world.home) is None
    found = champion(world.settings)
    assert found and found.dossier_url is None


@pytest.mark.parametrize(("drawn", "told"), [(None, False), ("1", True)])
def test_where_only_drawn_images_have_a_champion_the_way_to_it_is_told(
    monkeypatch: Any, drawn: str | None, told: bool
) -> None:
    """As after a first `make train`, which draws its images."""
    settings = load_settings()
    aliases = {settings.registry.model: None, settings.registry.phantom_model: drawn}
    tracker: Any = SimpleNamespace(registry=SimpleNamespace(alias=lambda name, _: aliases[name]))
    with pytest.raises(PromotionError) as caught:
        chosen(tracker, settings)
    assert ("give --phantom" in str(caught.value)) is told
    monkeypatch.setattr(Tracker, "of", lambda *_: tracker)
    for name in ("champion", "refused"):
        monkeypatch.setattr(f"pneumo.registry.champion.{name}", lambda *_: None)
    shown = CliRunner().invoke(app, ["champion"]).output
    assert "has no champion yet: run `make train`" in shown and ("add --phantom" in shown) is told


def test_links_of_a_champion_are_shown_whole_however_narrow_the_terminal_is(monkeypatch: Any) -> None:
    link = f"http://127.0.0.1:5000/#/experiments/1/runs/{'f' * 120}"
    now = datetime.now(UTC)
    info = ChampionInfo(
        registered_model="lungs", version="1", name="tiny", auc=None, dataset_digest="d" * 64, synthetic=False,
        since=now, registered=now, run_url=link, dossier_url=f"{link}/dossier",
    )  # fmt: skip
    monkeypatch.setattr("pneumo.registry.champion.champion", lambda *_: info)
    shown = CliRunner(env={"COLUMNS": "60"}).invoke(app, ["champion"]).output.splitlines()
    assert f"MLflow       {link}" in shown and f"dossier      {link}/dossier" in shown
