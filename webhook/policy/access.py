"""Decides who may see how intake goes.

Pure.
"""

import hmac
from collections.abc import Sequence

from webhook.policy.networks import Address


def may_look(client: Address | None, authorization: Sequence[str], api_token: str | None) -> bool:
    """Return whether statistics, and the reason of an outage, are shown.

    Args:
        client: who really asks, None if that cannot be told; this machine may look.
        authorization: the values of all Authorization headers; one that bears ``api_token`` may look.
        api_token: ``api.token``; None or empty: nobody may by a token.
    """
    if client is not None and client.is_loopback:
        return True
    if not api_token or len(authorization) != 1:
        return False
    scheme, _, given = authorization[0].partition(" ")
    matches = hmac.compare_digest(api_token.encode(), given.strip().encode("utf-8", "surrogateescape"))
    return matches and scheme.lower() == "bearer"
