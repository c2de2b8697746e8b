"""What the control API shows."""

from typing import Any

from brama.clock import cpu_s, monotonic_s
from sandbox.api.account import commands_of
from sandbox.policy.faults import Fault
from sandbox.state.bot import Bot
from sandbox.state.chat import Chat
from sandbox.state.world import World


def bot_view(bot: Bot) -> dict[str, Any]:
    """Return a bot as it stands in the list."""
    return {
        "bot": bot.bot_id,
        "username": bot.username,
        "first_name": bot.first_name,
        "polling": bot.open_polls > 0,
        "webhook": bool(bot.webhook.url),
        "seen": bool(bot.tokens),
        "pending": len(bot.queue),
        "chats": list(bot.chats),
    }


def bot_state(bot: Bot) -> dict[str, Any]:
    """Return everything about a bot's intake."""
    bot.queue.expire(monotonic_s())
    return {
        "bot": bot.bot_id,
        "username": bot.username,
        "pending": len(bot.queue),
        "confirmed": bot.queue.confirmed,
        "expired": bot.queue.expired,
        "last_update_id": bot.queue.last_update_id,
        "polls": bot.calls["getUpdates"],
        "open_polls": bot.open_polls,
        "allowed_updates": sorted(bot.allowed_updates),
        "webhook": webhook_view(bot),
        "me_calls": bot.calls["getMe"],
        "calls": dict(bot.calls),
        "sent": bot.sent.last,
        "first_poll_at_ms": None if bot.first_poll_at is None else bot.first_poll_at * 1000,
    }


def webhook_view(bot: Bot) -> dict[str, Any] | None:
    """Return a bot's webhook and how delivering to it goes, None if there is none; never its secret."""
    webhook, delivery = bot.webhook, bot.delivery
    if not webhook.url or delivery is None:
        return None
    return {
        "url": webhook.url,
        "max_connections": webhook.max_connections,
        "ip_address": delivery.ip_address,
        "has_secret": bool(webhook.secret_token),
        "has_custom_certificate": bool(webhook.certificate),
        "pending": len(bot.queue),
        "attempted": delivery.attempted,
        "succeeded": delivery.succeeded,
        "failed": delivery.failed,
        "under_way": delivery.connections.busy,
        "open_connections": delivery.connections.open,
        "last_error_message": delivery.last_error_message,
        "blocked": delivery.blocked,
    }


def world_state(world: World) -> dict[str, Any]:
    """Return every bot's state and what this process cost so far."""
    return {
        "process_cpu_s": cpu_s(),
        "now_ms": monotonic_s() * 1000,
        "bots": [bot_state(bot) for bot in world.bots.values()],
    }


def updates_view(bot: Bot) -> list[dict[str, Any]]:
    """Return what became of each update, in order of arrival."""
    bot.queue.expire(monotonic_s())
    return [
        {
            "update_id": entry.update_id,
            "state": entry.state,
            "confirmed": entry.state == "confirmed",
            "served": entry.served,
        }
        for entry in bot.queue.history
    ]


def fault_view(fault: Fault) -> dict[str, Any]:
    """Return a fault and how often it happened."""
    return {
        "id": fault.fault_id,
        "kind": fault.kind,
        "bot": fault.bot,
        "method": fault.method,
        "count": fault.left,
        "fired": fault.fired,
        "applied": fault.applied,
    }


def chat_view(bot: Bot, chat: Chat) -> dict[str, Any]:
    """Return a chat as its person sees it."""
    return {
        "chat": chat.describe(),
        "version": chat.version,
        "messages": [
            {**message, "bot_reactions": chat.reactions[message_id]}
            if message_id in chat.reactions
            else message
            for message_id, message in chat.messages.items()
        ],
        "commands": commands_of(bot),
        "keyboard": chat.keyboard,
        "action": chat.action,
        "blocked": chat.blocked,
    }
