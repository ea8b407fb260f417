import json
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from pneumo.errors import ServiceError
from pneumo.operations import processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
# A parent whose child ignores SIGTERM: stopping must not leave the child behind.
STUBBORN = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', "
    "'import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)']); time.sleep(60)",
]


@pytest.fixture
def sleeper(tmp_path):
    process = processes.start("sleeper", SLEEP, os.environ, tmp_path, tmp_path)
    yield process
    processes.stop(tmp_path, "sleeper", patience=0)


def test_a_started_process_is_found_again_and_stopped(tmp_path, sleeper):
    assert processes.find(tmp_path, "sleeper").pid == sleeper.pid
    assert processes.stop(tmp_path, "sleeper")
    assert processes.find(tmp_path, "sleeper") is None
    assert not processes.stop(tmp_path, "sleeper")


def test_a_reused_pid_is_not_mistaken_for_the_process(tmp_path, sleeper):
    record = {"pid": sleeper.pid, "created": sleeper.create_time() - 100}
    (tmp_path / "sleeper.json").write_text(json.dumps(record))
    assert processes.find(tmp_path, "sleeper") is None


def test_children_that_ignore_the_signal_are_killed(tmp_path):
    process = processes.start("stubborn", STUBBORN, os.environ, tmp_path, tmp_path)
    log = tmp_path / "stubborn.log"
    processes.wait_until_healthy(process, "stubborn", lambda: log.read_text().strip() == "1", log)
    family = [process, *process.children()]
    processes.stop(tmp_path, "stubborn", patience=1)
    assert not any(member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in family)


def test_a_process_that_dies_at_start_is_an_error_with_its_last_words(tmp_path):
    process = processes.start(
        "dead", [sys.executable, "-c", "raise SystemExit('no such key')"], os.environ, tmp_path, tmp_path
    )
    with pytest.raises(ServiceError, match=r"Expected dead to start, but it died.*no such key"):
        processes.wait_until_healthy(process, "dead", lambda: False, tmp_path / "dead.log")


def test_a_silent_process_is_an_error(tmp_path, sleeper):
    with pytest.raises(ServiceError, match="Expected sleeper to answer within 0 s"):
        processes.wait_until_healthy(sleeper, "sleeper", lambda: False, tmp_path / "sleeper.log", patience=0)


def test_a_taken_port_is_an_error_that_names_the_setting():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"port {port} .*PNEUMO_SERVICES__MLFLOW_PORT to another port"):
            processes.require_free_port("127.0.0.1", port, "mlflow", "services.mlflow_port")


def test_what_a_killed_process_leaves_is_found_and_ended(tmp_path):
    parent = processes.start("orphans", STUBBORN, os.environ, tmp_path, tmp_path)
    log = tmp_path / "orphans.log"
    processes.wait_until_healthy(parent, "orphans", lambda: log.read_text().strip() == "1", log)
    (child,) = parent.children()
    parent.kill()
    psutil.wait_procs([parent])
    assert processes.find(tmp_path, "orphans") is None
    assert processes.descended(tmp_path, "orphans") == [child]
    assert processes.stop(tmp_path, "orphans")
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_never_got_into_its_record_is_found(tmp_path, sleeper):
    (tmp_path / "sleeper.json").unlink()
    assert processes.descended(tmp_path, "sleeper") == [sleeper]


def test_ctrl_c_while_a_process_is_started_is_heard_once_the_process_is_recorded(tmp_path, monkeypatch):
    usual = subprocess.Popen

    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return usual(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        processes.start("late", [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, tmp_path, tmp_path)
    assert processes.stop(tmp_path, "late")
