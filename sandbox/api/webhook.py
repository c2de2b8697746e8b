"""setWebhook, deleteWebhook, getWebhookInfo."""

import ssl
from dataclasses import dataclass
from re import fullmatch
from typing import Any

from brama.clock import monotonic_s
from sandbox.api.errors import bad_request, too_many_requests
from sandbox.api.polling import set_allowed_updates
from sandbox.api.request import Call
from sandbox.state.bot import PollEnd, Webhook
from sandbox.state.world import World
from sandbox.webhooks.places import Place, is_loopback, place_of
from sandbox.webhooks.tls import is_address, trust

PORTS = (80, 88, 443, 8443)
MAX_CERTIFICATE_BYTES = 3 << 20
#: What is shown of a host that was not looked up yet.
UNKNOWN_ADDRESS = "<unknown>"


@dataclass(frozen=True, slots=True)
class Explained:
    """True, with a description beside it."""

    description: str


def set_webhook(world: World, call: Call) -> Explained:
    """Set a webhook, or change its terms; an empty address deletes the one that is set."""
    url = call.text("url")
    if not url:
        return delete_webhook(world, call)
    bot = call.bot
    now = monotonic_s()
    if now < bot.next_webhook_at:
        raise too_many_requests(1)
    bot.next_webhook_at = now + 1
    place = _checked_place(url)
    given_address = call.text("ip_address")
    if given_address and not is_address(given_address):
        raise bad_request("bad webhook: Invalid IP address specified")
    webhook = Webhook(
        url,
        _checked_secret(call.text("secret_token")),
        min(max(call.integer("max_connections", 40), 1), 100),
        given_address,
        _checked_certificate(call, place),
    )
    drop = call.flag("drop_pending_updates")
    set_allowed_updates(call)
    # A certificate is never taken for the one that is set already.
    if webhook == bot.webhook and not webhook.certificate and not drop:
        return Explained("Webhook is already set")
    bot.end_long_poll(PollEnd.WEBHOOK)
    if drop:
        bot.queue.clear()
    world.set_webhook(bot, webhook, given_address or place.ip_address)
    return Explained("Webhook was set")


def delete_webhook(world: World, call: Call) -> Explained:
    """Forget the webhook; updates wait in the queue unless they are to be dropped."""
    was_set = bool(call.bot.webhook.url)
    if call.flag("drop_pending_updates"):
        call.bot.queue.clear()
    call.bot.delete_webhook()
    return Explained("Webhook was deleted" if was_set else "Webhook is already deleted")


def get_webhook_info(world: World, call: Call) -> dict[str, Any]:
    """Return Telegram's WebhookInfo."""
    bot = call.bot
    bot.queue.expire(monotonic_s())
    webhook, delivery = bot.webhook, bot.delivery
    info: dict[str, Any] = {
        "url": webhook.url,
        "has_custom_certificate": bool(webhook.certificate),
        "pending_update_count": len(bot.queue),
    }
    if webhook.url and delivery is not None:
        info["max_connections"] = webhook.max_connections
        info["ip_address"] = delivery.ip_address or UNKNOWN_ADDRESS
        if delivery.last_error_utc is not None:
            info["last_error_date"] = delivery.last_error_utc
            info["last_error_message"] = delivery.last_error_message
    if bot.allowed_updates:
        info["allowed_updates"] = sorted(bot.allowed_updates)
    return info


def _checked_place(url: str) -> Place:
    try:
        place = place_of(url)
    except ValueError:
        raise bad_request("invalid webhook URL specified") from None
    if is_loopback(place.host):
        # Whoever develops on this machine has no certificate and no privileged port.
        return place
    if not place.secure:
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    if place.port not in PORTS:
        raise bad_request("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
    return place


def _checked_secret(secret_token: str) -> str:
    if len(secret_token) > 256:
        raise bad_request("secret token is too long")
    if not fullmatch(r"[A-Za-z0-9_-]*", secret_token):
        raise bad_request("secret token contains unallowed characters")
    return secret_token


def _checked_certificate(call: Call, place: Place) -> str:
    upload = call.upload("certificate")
    if upload is None:
        return ""
    if len(upload.content) > MAX_CERTIFICATE_BYTES:
        raise bad_request(f"certificate size is too big ({len(upload.content)} bytes)")
    certificate = upload.content.decode("ascii", "replace")
    try:
        trust(certificate, place.host)
    except ssl.SSLError:
        raise bad_request("bad webhook: Failed to set custom certificate file") from None
    return certificate


HANDLERS = {"setWebhook": set_webhook, "deleteWebhook": delete_webhook, "getWebhookInfo": get_webhook_info}
