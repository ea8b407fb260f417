"""What people have switched off on Prefect's pages stays so when all is registered again, as a worker's pod does it.

`prefect deploy` makes schedules and triggers anew, switched on, and resumes a deployment that is paused.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pneumo.operations.prefect_api import PrefectApi


class Off(NamedTuple):
    """Names of paused deployments and of disabled automations, and inactive schedules: deployment and cron."""

    deployments: frozenset[str]
    schedules: frozenset[tuple[str, str]]
    automations: frozenset[str]


@contextmanager
def kept_off(api: PrefectApi, say: Callable[[str], None]) -> Iterator[None]:
    """Register deployments in the block. After it, even after an error, what was switched off before is off again.

    A schedule that has another cron than before is a new one, as the settings say.
    """
    before = _off(api)
    try:
        yield
    finally:
        for words in [*_pause(api, before), *_disable(api, before.automations)]:
            say(f"{words} stays off, as somebody has set on Prefect's page")


def _off(api: PrefectApi) -> Off:
    paused, inactive = set(), set()
    for name, deployment in api.deployments().items():
        found = api.ask("GET", f"/deployments/{deployment}")
        paused |= {name} if found["paused"] else set()
        inactive |= {(name, item["schedule"].get("cron", "")) for item in found["schedules"] if not item["active"]}
    every = api.pages("/automations/filter", {})
    enabled = {item["name"] for item in every if item["enabled"]}
    return Off(frozenset(paused), frozenset(inactive), frozenset(item["name"] for item in every) - enabled)


def _pause(api: PrefectApi, before: Off) -> Iterator[str]:
    for name, deployment in api.deployments().items():
        for item in api.ask("GET", f"/deployments/{deployment}")["schedules"]:
            if item["active"] and (name, item["schedule"].get("cron", "")) in before.schedules:
                api.ask("PATCH", f"/deployments/{deployment}/schedules/{item['id']}", {"active": False})
                yield f"the schedule of {name}"
        if name in before.deployments:
            api.ask("POST", f"/deployments/{deployment}/pause_deployment")
            yield f"the deployment {name}"


def _disable(api: PrefectApi, names: frozenset[str]) -> Iterator[str]:
    for item in api.pages("/automations/filter", {}):
        if item["enabled"] and item["name"] in names:
            api.ask("PATCH", f"/automations/{item['id']}", {"enabled": False})
            yield f"the automation {item['name']}"
