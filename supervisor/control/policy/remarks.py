"""Says what an operator should know beside the table of bots."""

from collections.abc import Iterator

from supervisor.control.policy.job_lines import describe_jobs
from supervisor.control.policy.words import plural, spell_count, spell_duration
from supervisor.control.status import OrphanStatus, PlatformStatus, Status, WebhookStatus

#: Removed bots named in a status; ``orphans list`` names all.
MAX_ORPHANS = 5


def remarks(status: Status) -> Iterator[str]:
    """Yield a line for each thing worth a word."""
    if status.webhook is not None:
        yield describe_webhook(status.webhook)
    if status.platform is not None:
        yield describe_platform(status.platform)
    if status.jobs is not None:
        yield from describe_jobs(status.jobs)
    if any(worker.mode != worker.mode_configured for worker in status.workers):
        yield "* polls until Telegram reaches its webhook again"
    for orphan in status.orphans[:MAX_ORPHANS]:
        yield describe_orphan(orphan)
    if (more := len(status.orphans) - MAX_ORPHANS) > 0:
        yield f"and {plural(more, 'removed bot')} more; see brama-supervisor orphans list"
    master = status.master
    restart = "did not happen" if master.renewal_obstacle is None else "is not through"
    for what, problems in (
        ("the last reload changed nothing", master.reload_problems),
        (f"the last hot restart {restart}", master.restart_problems),
    ):
        if problems:
            more_said = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            yield f"{what}: {problems[0]}{more_said}"
    if master.renewing:
        yield f"{plural(master.renewing, 'bot')} still to be restarted with the new code"


def describe_webhook(webhook: WebhookStatus) -> str:
    """Return what the webhook server has taken in."""
    return (
        f"webhook server on {webhook.address} · accepted {spell_count(webhook.accepted)} · "
        f"duplicates {spell_count(webhook.duplicates)} · refused {spell_count(webhook.refused)}"
    )


def describe_platform(platform: PlatformStatus) -> str:
    """Return how old the platform's answer is, and what is wrong with it."""
    if platform.age_ms is None:
        return f"platform: {platform.detail or 'no answer yet'}; it has given no bots so far"
    origin = ", read from disk at the start" if platform.from_cache else ""
    answer = f"{plural(platform.bots, 'bot')} of an answer {spell_duration(platform.age_ms)} old{origin}"
    return f"platform: {answer}" if platform.ok else f"platform: {platform.detail}; serving {answer}"


def describe_orphan(orphan: OrphanStatus) -> str:
    """Return what is kept of a removed bot, and until when."""
    name = f"{orphan.bot_id} ({orphan.telegram_id})" if orphan.bot_id else str(orphan.telegram_id)
    kept = f"{plural(orphan.inbox, 'update')} and {plural(orphan.dead_letters, 'dead letter')}"
    return (
        f"removed bot {name}: {kept} are kept until it is configured again, "
        f"or orphans drop {orphan.telegram_id}"
    )
