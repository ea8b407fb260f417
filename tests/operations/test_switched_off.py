"""A person's pause outlives what `pneumo up` and a worker's start register, on a real Prefect server."""

import uuid

import pytest

from pneumo.operations import deploy
from pneumo.operations.embedded import folder_of
from pneumo.operations.switched_off import kept_off

NIGHTLY, WEEKLY = "0 2 * * *", "0 2 * * 0"


@pytest.fixture
def site(prefect):
    """A deployment with a schedule, and an automation; `register` makes both as `prefect deploy` does, switched on."""

    class Site:
        name = f"frozen-{uuid.uuid4().hex[:6]}"

        def register(self, cron=NIGHTLY):
            self.deployment = prefect.deployment(self.name, cron=cron)
            prefect.ask("POST", f"/deployments/{self.deployment}/resume_deployment", {})
            prefect.api.ensure_automation(
                {
                    "name": self.name,
                    "enabled": True,
                    "trigger": {"type": "event", "expect": ["x"], "posture": "Reactive", "threshold": 1, "within": 0},
                    "actions": [{"type": "do-nothing"}],
                }
            )

        def freeze(self):
            (schedule,) = self.now()["schedules"]
            path = f"/deployments/{self.deployment}"
            prefect.api.ask("PATCH", f"{path}/schedules/{schedule['id']}", {"active": False})
            prefect.api.ask("POST", f"{path}/pause_deployment")
            prefect.api.ask("PATCH", f"/automations/{self.automation()['id']}", {"enabled": False})

        def now(self):
            return prefect.api.ask("GET", f"/deployments/{self.deployment}")

        def automation(self):
            (found,) = prefect.ask("POST", "/automations/filter", {"automations": {"name": {"any_": [self.name]}}})
            return found

        def on(self):
            (schedule,) = self.now()["schedules"]
            return schedule["active"], not self.now()["paused"], self.automation()["enabled"]

    made = Site()
    made.register()
    return made


@pytest.mark.services
def test_what_somebody_switched_off_is_off_after_all_is_registered_again(site, settings, prefect, monkeypatch):
    site.freeze()
    monkeypatch.setattr(deploy, "_deploy", lambda *_: site.register())
    folder_of(settings).mkdir()
    said = []
    deploy._register_deployments(settings, said.append, prefect.api.url)
    assert site.on() == (False, False, False)
    assert {words.partition(" stays off")[0] for words in said} >= {
        f"the schedule of {site.name}", f"the deployment {site.name}", f"the automation {site.name}",
    }  # fmt: skip


@pytest.mark.services
def test_also_where_registering_fails_in_the_middle(site, prefect):
    site.freeze()
    with pytest.raises(RuntimeError), kept_off(prefect.api, print):
        site.register()
        raise RuntimeError
    assert site.on() == (False, False, False)


@pytest.mark.services
def test_what_is_on_stays_on_and_another_schedule_is_as_the_settings_say(site, prefect):
    with kept_off(prefect.api, print):
        site.register()
    assert site.on() == (True, True, True)
    (schedule,) = site.now()["schedules"]
    prefect.api.ask("PATCH", f"/deployments/{site.deployment}/schedules/{schedule['id']}", {"active": False})
    with kept_off(prefect.api, print):
        site.register(WEEKLY)
    assert site.on() == (True, True, True)
