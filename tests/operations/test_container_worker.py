"""A container's worker: what died is closed before it starts and after it ends, and it is told to end."""

import signal
import subprocess
import sys

import pytest

# A worker that ends as Prefect's does, and a command that closes dead runs; each writes a line to the same pipe.
WORKER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"worker ended\\n"), sys.exit(3)))
os.write(1, b"worker started\\n")
while True:
    time.sleep(0.05)
"""
RUN = """
import sys
from pneumo.operations.container_worker import main
sys.exit(main([sys.executable, "-c", sys.argv[1]], [sys.executable, "-c", sys.argv[2]]))
"""
CLOSE = "import os, sys; os.write(1, b'closed %d\\n' % (len(sys.argv) - 1))"  # with the number of its options
REFUSED = f"{CLOSE}; sys.exit(1)"
WAITS = "import os, time; os.write(1, b'waits\\n'); time.sleep(600)"


@pytest.fixture
def started():
    made = []

    def start(close):
        command = [sys.executable, "-c", RUN, WORKER, close]
        made.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return made[0]

    yield start
    made[0].kill()
    made[0].wait()


def lines(process, count):
    return [process.stdout.readline().strip() for _ in range(count)]


@pytest.mark.parametrize("close", [CLOSE, REFUSED])
def test_what_died_is_closed_before_the_worker_starts_and_after_it_was_stopped(started, close):
    process = started(close)
    assert lines(process, 2) == ["closed 2", "worker started"]
    process.send_signal(signal.SIGTERM)
    assert lines(process, 2) == ["worker ended", "closed 0"]
    assert process.wait(30) == 3


def test_a_container_that_is_stopped_while_it_waits_for_servers_ends(started):
    process = started(WAITS)
    assert lines(process, 1) == ["waits"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
