"""A proxy before an S3 server that does what networks and busy servers do; one request a connection."""

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Iterable

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
UNAVAILABLE = b"<?xml version='1.0'?><Error><Code>ServiceUnavailable</Code><Message>Try again.</Message></Error>"


class FaultyProxy:
    """Listens on loopback and treats request after request as `plan` says, over and over.

    pass; throttle and unavailable (503 without asking the server); refuse (closed at once); reset (the connection is
    reset in the middle of the body); cut (the body ends too early); slow (the body drips).
    """

    def __init__(self, target_port: int, plan: Iterable[str]) -> None:
        self.target, self.plan, self.seen = target_port, itertools.cycle(plan), Counter[str]()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "FaultyProxy":
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result(10)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._treat(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()

    async def _treat(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fault = next(self.plan)
        self.seen[fault] += 1
        if fault in ("throttle", "unavailable"):
            body = SLOW_DOWN if fault == "throttle" else UNAVAILABLE
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/xml\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        elif fault != "refuse":
            await self._forward(head, reader, writer, fault)

    async def _forward(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str
    ) -> None:
        there, onwards = await asyncio.open_connection("127.0.0.1", self.target)
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        onwards.write(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]))
        upload = asyncio.create_task(_pipe(reader, onwards))
        answer = await there.readuntil(b"\r\n\r\n")
        while answer.startswith(b"HTTP/1.1 100"):
            writer.write(answer)
            answer = await there.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if fault in ("reset", "cut"):
            writer.write(await there.read(1000))
            await writer.drain()
            if fault == "reset":
                writer.transport.abort()
        else:
            await _pipe(there, writer, pause=0.02 if fault == "slow" else 0)
        upload.cancel()
        onwards.close()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter, pause: float = 0) -> None:
    while data := await source.read(1 << 14 if pause else 1 << 16):
        sink.write(data)
        await sink.drain()
        await asyncio.sleep(pause)
