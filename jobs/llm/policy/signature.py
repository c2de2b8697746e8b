"""Signs callbacks, so that a backend knows who sent them and when.

Pure.
"""

import hashlib
import hmac

TIMESTAMP_HEADER = "X-Brama-Timestamp"
SIGNATURE_HEADER = "X-Brama-Signature"
#: The same in every try to deliver one callback.
DELIVERY_HEADER = "X-Brama-Delivery"


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Return ``v1=`` and the HMAC-SHA256 of ``timestamp``, a dot and ``body``, in hexadecimal."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"v1={digest}"
