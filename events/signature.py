"""Signatures as Standard Webhooks has them (standardwebhooks.com): HMAC-SHA256 of id, time and body.

Who receives one refuses a time that is more than five minutes off, so that what was caught on its way cannot
be sent again later; and an id that was seen before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
LEAST_BYTES = 24


def keys(text: str) -> list[bytes]:
    """The keys in a setting, separated by spaces: base64, with or without `whsec_` before it.

    Raises:
        ValueError: one is no base64, or has fewer than `LEAST_BYTES` bytes.
    """
    found = []
    for word in text.split():
        try:
            key = base64.b64decode(word.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if len(key) < LEAST_BYTES:
            raise ValueError(
                f"a key is base64 of at least {LEAST_BYTES} bytes; make one by: openssl rand -base64 32"
            )
        found.append(key)
    if not found:
        raise ValueError("there is no key in it; make one by: openssl rand -base64 32")
    return found


def headers(made: Sequence[bytes], id: str, body: bytes, timestamp: int) -> dict[str, str]:
    """The headers that go with a body; `timestamp` in seconds since 1970. Each key signs."""
    signed = f"{id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in made]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
