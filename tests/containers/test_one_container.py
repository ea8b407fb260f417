"""The embedded shape in one container, for machines that have an engine and no Python."""

import json
import secrets

import pytest

from tests.conftest import free_port
from tests.containers.team import HARDENED, SMALL
from tests.pipeline.conftest import OPEN

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]


@pytest.fixture
def volume(engine):
    name = f"pneumo-test-{secrets.token_hex(3)}"
    yield name
    engine.call("volume", "rm", "--force", name)


def test_the_main_job_needs_nothing_but_the_image(engine, images, volume):
    given = {f"PNEUMO_PROMOTION__{name}": value for name, value in OPEN.items()}
    given |= {f"PNEUMO_SERVICES__{name}_PORT": str(free_port()) for name in ("PREFECT", "MLFLOW")}
    variables = [part for name, value in given.items() for part in ("--env", f"{name}={value}")]
    pairs = [part for name, value in SMALL.items() for part in ("--param", f"{name}={json.dumps(value)}")]
    where = ("run", "--rm", "--network=host", *HARDENED, f"--volume={volume}:/data", *variables, images["worker"])
    done = engine.call(*where, "pneumo", "train", "--json", *pairs, timeout=800)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.loads(done.stdout)["decision"]["promoted"]
