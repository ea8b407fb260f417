"""Limits of a request: how many at the same time, how large, how long it may take to arrive."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from pneumo.serving.service.prometheus_metrics import Metrics
from pneumo.settings.servers import Serve


@contextmanager
def turn(metrics: Metrics, limits: Serve) -> Iterator[None]:
    """Count a request as waiting during the block; a limit on requests at the same time, not on their rate.

    Raises:
        HTTPException: 429 where too many wait already.
    """
    if metrics.waiting_now >= limits.waiting:
        raise HTTPException(429, "Too many requests are waiting: ask again later.", {"Retry-After": "2"})
    with metrics.waiting_request():
        yield


async def read_body(request: Request, limits: Serve) -> bytes:
    """The whole body.

    Raises:
        HTTPException: 413 where it is larger than allowed, 408 where it takes too long, 400 where the client went away.
    """
    largest, parts, size = limits.request_mb << 20, [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > largest:
                    raise HTTPException(413, f"Expected at most {limits.request_mb} MiB: send fewer images at once.")
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"Expected the request within {limits.body_seconds:g} s: send it again.") from None
    except ClientDisconnect:  # nobody reads this, but it is no error of the service's own
        raise HTTPException(400, "Expected the whole request, but the connection ended before.") from None
    return b"".join(parts)
