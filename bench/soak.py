"""Retrainings one after another on growing data, with kills and outages from a seed: `make soak ROUNDS=50 SEED=0`.

A round adds drawn images to the watched folder and asks for `pneumonia/retrain`; at a moment of its time, drawn too,
somebody is killed, or nobody. What has died is brought back by `pneumo up` and asked for again until it is done.
State is kept in PNEUMO_SOAK_HOME round by round: a soak that was stopped goes on where it was.
"""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

from pydantic import BaseModel

from bench._site import Poller, Site, size_of
from pneumo.data.sources import phantom
from pneumo.settings.promotion import Registry

ON_REQUEST = True  # too long for `make bench` without names
ROUNDS = int(os.environ.get("PNEUMO_SOAK_ROUNDS", "50"))
SEED = int(os.environ.get("PNEUMO_SOAK_SEED", "0"))
MODEL = Registry().model  # a folder's images are taken for real ones
START, STEP = 168, 4  # images at first, and more in each round
RECIPE = {
    "backbones": ["MobileNet:0.25"], "weights": "none", "epochs": 2, "image_size": 32, "augmentation": 0,
    "ensemble": False,
}  # fmt: skip
# Who is killed, by weight, and how many seconds at most they stay dead.
DISTURBANCES: dict[tuple[str, ...], tuple[int, float]] = {
    (): (8, 0), ("flow",): (3, 0), ("training",): (2, 0), ("worker",): (2, 5), ("worker", "flow"): (1, 5),
    ("prefect",): (2, 20), ("mlflow",): (2, 20), ("flow", "worker", "prefect", "mlflow"): (1, 20),
}  # fmt: skip
SERVERS = ("prefect", "mlflow", "worker")
TRIES = 4


class Round(BaseModel):
    """What one round came to; `states` are those of its flow runs, `memory` is MiB by server, with its pid."""

    number: int
    killed: tuple[str, ...]
    reached: bool
    states: list[str]
    version: str
    seconds: float
    disk: int
    memory: dict[str, tuple[int, float]]
    polls: int
    unanswered: int
    failures: list[str]


class Soak(BaseModel):
    """All rounds so far."""

    seed: int
    rounds: list[Round] = []


def rows() -> list[dict[str, Any]]:
    """The table, after the last round."""
    given = os.environ.get("PNEUMO_SOAK_HOME")
    folder = Path(given or tempfile.mkdtemp(prefix="pneumo-soak-"))
    site = Site(folder / "home")
    soak = _kept(folder)
    try:
        site.up()
        with Poller(site, MODEL) as poller:
            for number in range(len(soak.rounds), ROUNDS):
                soak.rounds.append(_round(number, soak, site, poller, folder))
                (folder / "soak.json").write_text(soak.model_dump_json(indent=1))
                print(soak.rounds[-1].model_dump_json(exclude={"memory", "disk"}), flush=True)
        site.up()
        left = [*site.open_runs(), *site.strays()]
        return table(soak.rounds, left)
    finally:
        site.down()
        if not given:
            shutil.rmtree(folder)


def table(rounds: Sequence[Round], left: Sequence[str]) -> list[dict[str, Any]]:
    """Counts and growth."""
    states = [state for one in rounds for state in one.states]
    died = [one for one in rounds if len(one.states) > 1]
    versions = [one.version for one in rounds]
    failures = [failure for one in rounds for failure in one.failures]
    return [
        _row("rounds", len(rounds), "", f"seed {SEED}, {START} images and {STEP} more in each"),
        _row("rounds with a kill", sum(one.reached for one in rounds), "", _kinds(rounds)),
        _row("runs started", len(states)),
        _row("runs completed", states.count("COMPLETED")),
        _row("runs that died", len(states) - states.count("COMPLETED"), "", f"in {len(died)} rounds"),
        _row("rounds that recovered", sum(one.states[-1] == "COMPLETED" for one in died), "", f"of {len(died)}"),
        _row("orphans", len(left), "", "; ".join(left)),
        _row("promotions", len(set(versions))),
        _row("polls of the champion", sum(one.polls for one in rounds)),
        _row("failed polls", len(failures), "", "; ".join(failures[:3])),
        _row("polls while MLflow was dead", sum(one.unanswered for one in rounds)),
        _row("disk growth", _growth([one.disk / 2**20 for one in rounds]), "MiB/round", "state folder"),
        *(_row(f"memory growth: {who}", _slope(rounds, who), "MiB/round") for who in SERVERS),
        _row("time", median(one.seconds for one in rounds), "s/round", "median"),
    ]


def _round(number: int, soak: Soak, site: Site, poller: Poller, folder: Path) -> Round:
    draw = random.Random(f"{SEED}/{number}")
    killed = draw.choices(list(DISTURBANCES), [weight for weight, _ in DISTURBANCES.values()])[0] if number else ()
    asked = {"polls": poller.polls, "unanswered": poller.unanswered, "failures": len(poller.failures)}
    _grow(folder, START + STEP * number)
    begun = time.monotonic()
    usual = median([one.seconds for one in soak.rounds if not one.killed] or [60.0])
    run_id = _ask(number, site, folder)
    reached = bool(killed) and _disturb(run_id, site, killed, draw.uniform(0, usual), draw)
    states = [site.wait(run_id)["state_type"]]
    while states[-1] != "COMPLETED" and len(states) < TRIES:
        site.up()
        states.append(site.wait(_ask(number, site, folder))["state_type"])
    return Round(
        number=number,
        killed=killed,
        reached=reached,
        states=states,
        version=site.tracker().registry.alias(MODEL, Registry().champion) or "",
        seconds=time.monotonic() - begun,
        disk=size_of(site.home),
        memory={who: (next((one.pid for one in site.members(who)), 0), site.memory(who)) for who in SERVERS},
        polls=poller.polls - asked["polls"],
        unanswered=poller.unanswered - asked["unanswered"],
        failures=poller.failures[asked["failures"] :],
    )


def _ask(number: int, site: Site, folder: Path) -> str:
    """The first run is asked for with its recipe; the others repeat the last success."""
    if site.tracker().registry.alias(MODEL, Registry().champion) is None:
        return site.start("train", data=str(folder / "images"), **RECIPE)
    return site.start("retrain")


def _disturb(run_id: str, site: Site, who: tuple[str, ...], moment: float, draw: random.Random) -> bool:
    """Kill at a moment of the run, wait a while, bring all back; False if nobody was there to be killed."""
    time.sleep(moment)
    pids = site.kill(*who)
    time.sleep(draw.uniform(0, DISTURBANCES[who][1]))
    site.up()
    return bool(pids)


def _grow(folder: Path, images: int) -> None:
    """The first so many drawn images in a folder; what is there stays as it is."""
    pool = phantom.draw(folder, START + STEP * max(ROUNDS, 50))
    for file in sorted(pool.rglob("*.jpeg"), key=lambda path: random.Random(path.name).random())[:images]:
        target = folder / "images" / file.relative_to(pool)
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)


def _kept(folder: Path) -> Soak:
    file = folder / "soak.json"
    found = Soak.model_validate_json(file.read_text()) if file.is_file() else Soak(seed=SEED)
    if found.seed != SEED:
        raise SystemExit(f"Expected seed {SEED} in {file}, found {found.seed}: give another PNEUMO_SOAK_HOME.")
    return found


def _kinds(rounds: Sequence[Round]) -> str:
    names = [" and ".join(one.killed) if len(one.killed) < 4 else "all four" for one in rounds if one.reached]
    return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names)))


def _growth(sizes: list[float]) -> float:
    """Per round, the first left out: it brings databases and caches into being."""
    return (sizes[-1] - sizes[0]) / max(len(sizes) - 1, 1)


def _slope(rounds: Sequence[Round], who: str) -> float:
    """Mean growth from one round to the next, over those in which the same process lived on."""
    pairs = [(one.memory[who], other.memory[who]) for one, other in pairwise(rounds)]
    return mean([after - before for (pid, before), (same, after) in pairs if pid == same] or [0.0])


def _row(name: str, value: float, unit: str = "", note: str = "") -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "note": note}
