"""What Prefect's form shows and refuses, by the schema that a deployment is given."""

import importlib
from pathlib import Path

import cloudpickle
import pytest
import yaml
from prefect.utilities.callables import parameter_schema

from flows.train import train
from pneumo.errors import TrainingError

PROJECT = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((PROJECT / "flows/prefect.yaml").read_text())["deployments"]
ENTRYPOINTS = [item["entrypoint"] for item in DEPLOYMENTS]


def form(entrypoint):
    file, _, name = entrypoint.partition(":")
    flow = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
    return parameter_schema(flow.fn).model_dump()["properties"]


def test_each_deployment_has_a_tag_that_no_other_one_has():
    """Six of them share one flow name; Prefect's pages and statistics tell them apart by this tag."""
    own = [Path(item["entrypoint"].partition(":")[0]).stem for item in DEPLOYMENTS]
    assert [[name for name in own if name in item["tags"]] for item in DEPLOYMENTS] == [[name] for name in own]


@pytest.mark.parametrize("entrypoint", ENTRYPOINTS)
def test_every_parameter_is_described(entrypoint):
    assert {
        name: field.get("description") for name, field in form(entrypoint).items() if not field.get("description")
    } == {}


def test_bounds_and_choices_are_in_the_form():
    fields = form("flows/train.py:train")
    assert fields["fit"]["enum"] == ["squash", "pad"]
    assert fields["image_size"]["anyOf"][0] == {"type": "integer", "minimum": 32, "maximum": 1024}


def test_a_seed_that_numpy_refuses_is_refused_by_the_form():
    """Otherwise every backbone would fail, after the data were read."""
    assert form("flows/train.py:train")["seed"]["maximum"] == 2**32 - 1


def test_what_matters_most_is_asked_first():
    by_place = sorted(form("flows/train.py:train").items(), key=lambda item: item[1]["position"])
    assert [name for name, _ in by_place][:4] == ["preset", "data", "weights", "backbones"]


def test_an_unknown_backbone_is_refused_before_any_work():
    with pytest.raises(TrainingError, match="did you mean MobileNet,"):
        train.validate_parameters({"backbones": ["MobilNet"]})


def test_the_flow_can_be_sent_to_another_machine():
    assert cloudpickle.dumps(train)  # as Ray does it: what the flow's module holds travels by value
