"""The service that scores X-rays over HTTP with the champion."""
