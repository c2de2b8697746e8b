"""Draws a status with rich.

Runs in: master (its live table) | command line.
"""

from collections.abc import Iterator
from io import StringIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from supervisor.control.policy.columns import GAP, Column, Layout, headline, lay_out, summarize
from supervisor.control.policy.remarks import remarks
from supervisor.control.status import Status, WorkerStatus

_STATE_STYLES = {
    "RUNNING": "green",
    "SLEEPING": "cyan",
    "STARTING": "yellow",
    "STOPPING": "yellow",
    "BACKOFF": "bold yellow",
    "WAITING": "bold yellow",
    "FATAL": "bold red",
    "STOPPED": "dim",
}
#: Headline, blank line, header, blank line, totals.
_LINES_AROUND_ROWS = 5
#: Wider than any reason.
_WIDTH_OF_FILES = 100_000


class StatusTable:
    """A status as a rich renderable that adapts to the width it is given.

    Args:
        status: what to draw.
        is_bounded: never taller than the terminal; bots in trouble are shown first.
        is_wrapped: wrap at the terminal's width; else one line a bot, however long, for other programs.
        note: a line below the totals.
    """

    def __init__(
        self, status: Status, *, is_bounded: bool = False, is_wrapped: bool = True, note: str = ""
    ) -> None:
        self._status = status
        self._is_bounded = is_bounded
        self._is_wrapped = is_wrapped
        self._note = note

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield headline, table, reasons and totals."""
        width = options.max_width if self._is_wrapped else None
        said = list(remarks(self._status))
        room = max(console.size.height - _LINES_AROUND_ROWS - bool(self._note) - len(said), 1)
        layout = lay_out(self._status, width, room if self._is_bounded else None)
        if self._is_bounded and layout.hidden:
            layout = lay_out(self._status, width, room - 1)
        yield Text(headline(self._status), style="bold", overflow="fold", no_wrap=not self._is_wrapped)
        yield Text("")
        if layout.workers:
            yield _rows(layout)
            yield from _reasons_below(layout)
            if layout.hidden:
                yield Text(f"and {layout.hidden} more", style="dim")
            yield Text("")
        yield Text(summarize(self._status), overflow="fold")
        for remark in said:
            yield Text(remark, overflow="fold")
        if self._note:
            yield Text(self._note, style="dim", overflow="fold")


def print_status(status: Status, console: Console) -> None:
    """Print ``status`` once; to a file or pipe, every bot keeps to one line."""
    if console.is_terminal:
        console.print(StatusTable(status))
        return
    wide = Console(file=StringIO(), width=_WIDTH_OF_FILES, color_system=None, highlight=False)
    with wide.capture() as captured:
        wide.print(StatusTable(status, is_wrapped=False))
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def _rows(layout: Layout) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column in layout.columns:
        table.add_column(column.title, justify="right" if column.is_number else "left", no_wrap=True)
    if layout.is_reason_beside:
        table.add_column("reason", overflow="fold", no_wrap=False)
    for worker in layout.workers:
        cells = [_cell(column, worker) for column in layout.columns]
        if layout.is_reason_beside:
            cells.append(Text(worker.reason or ""))
        table.add_row(*cells)
    return table


def _reasons_below(layout: Layout) -> Iterator[RenderableType]:
    if layout.is_reason_beside:
        return
    told = [worker for worker in layout.workers if worker.reason]
    if told:
        yield Text("")
    for worker in told:
        yield Text.assemble((f"{worker.bot_id} {worker.state}:", _STATE_STYLES.get(worker.state, "")))
        yield Padding(Text(worker.reason or "", overflow="fold"), (0, 0, 0, 2))


def _cell(column: Column, worker: WorkerStatus) -> Text:
    match column.title:
        case "state":
            style = _STATE_STYLES.get(worker.state, "")
        case "ingress" if worker.ingress not in {"ok", "off"}:
            style = "yellow"
        case "errors" if worker.errors:
            style = "yellow"
        case _:
            style = ""
    return Text(column.text(worker), style=style)
