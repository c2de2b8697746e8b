"""setWebhook, deleteWebhook, getWebhookInfo: the address is checked and stored, nothing delivers to it."""

from dataclasses import dataclass
from ipaddress import ip_address
from re import fullmatch
from typing import Any
from urllib.parse import urlsplit

from brama.clock import monotonic_s
from sandbox.api.errors import bad_request, too_many_requests
from sandbox.api.polling import set_allowed_updates
from sandbox.api.request import Call
from sandbox.state.bot import PollEnd, Webhook
from sandbox.state.world import World

PORTS = (80, 88, 443, 8443)


@dataclass(frozen=True, slots=True)
class Explained:
    """True, with a description beside it."""

    description: str


def set_webhook(world: World, call: Call) -> Explained:
    """Store a webhook; an empty address deletes the one that is set."""
    url = call.text("url")
    if not url:
        return delete_webhook(world, call)
    bot = call.bot
    now = monotonic_s()
    if now < bot.next_webhook_at:
        raise too_many_requests(1)
    bot.next_webhook_at = now + 1
    _check_url(url)
    secret_token = call.text("secret_token")
    if len(secret_token) > 256:
        raise bad_request("secret token is too long")
    if not fullmatch(r"[A-Za-z0-9_-]*", secret_token):
        raise bad_request("secret token contains unallowed characters")
    new = Webhook(
        url,
        secret_token,
        min(max(call.integer("max_connections", 40), 1), 100),
        call.text("ip_address"),
        call.upload("certificate") is not None,
    )
    drop = call.flag("drop_pending_updates")
    set_allowed_updates(call)
    if new == bot.webhook and not drop:
        return Explained("Webhook is already set")
    bot.end_long_poll(PollEnd.WEBHOOK)
    if drop:
        bot.queue.clear()
    bot.webhook = new
    return Explained("Webhook was set")


def delete_webhook(world: World, call: Call) -> Explained:
    """Forget the webhook; updates wait in the queue unless they are to be dropped."""
    was_set = bool(call.bot.webhook.url)
    if call.flag("drop_pending_updates"):
        call.bot.queue.clear()
    call.bot.webhook = Webhook()
    return Explained("Webhook was deleted" if was_set else "Webhook is already deleted")


def get_webhook_info(world: World, call: Call) -> dict[str, Any]:
    """Return Telegram's WebhookInfo."""
    bot = call.bot
    bot.queue.expire(monotonic_s())
    hook = bot.webhook
    info: dict[str, Any] = {
        "url": hook.url,
        "has_custom_certificate": hook.has_custom_certificate,
        "pending_update_count": len(bot.queue),
    }
    if hook.url:
        info["max_connections"] = hook.max_connections
        if hook.ip_address:
            info["ip_address"] = hook.ip_address
        if hook.last_error_date is not None:
            info["last_error_date"] = hook.last_error_date
            info["last_error_message"] = hook.last_error_message
    if bot.allowed_updates:
        info["allowed_updates"] = sorted(bot.allowed_updates)
    return info


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise bad_request("invalid webhook URL specified") from None
    if not host or parts.scheme not in ("http", "https"):
        raise bad_request("invalid webhook URL specified")
    if _is_loopback(host):
        # Whoever develops on this machine has no certificate and no privileged port.
        return
    if parts.scheme != "https":
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    if (port or 443) not in PORTS:
        raise bad_request("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


HANDLERS = {"setWebhook": set_webhook, "deleteWebhook": delete_webhook, "getWebhookInfo": get_webhook_info}
