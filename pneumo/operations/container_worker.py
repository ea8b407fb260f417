"""The process worker of a container, which is stopped and started as a whole: the command of the worker's image.

Prefect's worker kills its flow runs when it is stopped, and none of them can say that it ends: they would stay Running,
and hold their places until Prefect has missed their heartbeats for seven minutes. Here they are closed when the worker
has ended; what was killed together with this process is closed at the next start of the same container.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence

# Programs of their own: what they import would stay in the memory of this one, which only waits. Not a shell's, which
# has what runs in its background ignore SIGINT; then Prefect's worker would ignore SIGTERM, too.
CLOSE = (sys.executable, "-m", "pneumo.cli", "reconcile")
WORKER = (sys.executable, "-m", "prefect", "worker", "start")
PATIENCE = "60"  # seconds for which servers that start at the same time are waited for


def main(worker: Sequence[str], close: Sequence[str] = CLOSE) -> int:
    """Close what died here, run a worker until it ends or this process is told to, and close what died with it.

    Returns the worker's exit code. The worker runs whether anything could be closed or not.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # a first process has no default action
    subprocess.run([*close, "--wait", PATIENCE], check=False)  # noqa: S603 - our own command
    process = subprocess.Popen(worker)  # noqa: S603 - our own command
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.terminate())
    code = process.wait()
    subprocess.run(close, check=False)  # noqa: S603 - our own command
    return code


if __name__ == "__main__":
    sys.exit(main((*WORKER, *sys.argv[1:])))
