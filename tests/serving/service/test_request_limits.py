"""A request that arrives too slowly, or not at all, holds nothing up."""

import asyncio
import socket
from typing import Any

import pytest
from fastapi import HTTPException, Request

from pneumo.serving.service.request_limits import read_body
from tests.serving.service.conftest import LIMITS, TOKEN

pytestmark = pytest.mark.services


def test_a_request_that_does_not_arrive_is_given_up(service):
    url = service.client.base_url
    words = (
        f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n\r\nbeg"
    )
    with socket.create_connection((url.host, url.port), timeout=60) as line:
        line.sendall(words.encode())
        assert b" 408 " in line.recv(1000)


def test_a_client_that_goes_away_is_no_error_of_the_service():
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "headers": []}, gone)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request, LIMITS))
    assert refused.value.status_code == 400
