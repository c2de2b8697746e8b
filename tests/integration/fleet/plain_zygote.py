"""A zygote without python-telegram-bot, whose workers do what their entry's name says.

It speaks the zygote's and the worker's protocol and forks as the real one does, so that the fleet's dealings
with processes are tested in milliseconds.
"""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import setproctitle

from bot_worker import linux
from bot_worker.channel import Channel
from bot_worker.double_fork import fork_for_parent, wait_reparented
from brama.clock import monotonic_s
from brama.frames import encode_frame
from brama.marks import comm_mark, worker_title
from brama.messages import (
    PROTOCOL_VERSION,
    Begun,
    Boot,
    BootFailed,
    Deliver,
    Drain,
    Forked,
    ForkFailed,
    FromWorker,
    Heartbeat,
    Hello,
    Processed,
    Ready,
    Refused,
    Released,
    Warm,
    decode_to_zygote,
    encode_message,
    encode_messages,
)

Behaviour = Callable[[Boot, Channel], int]
SLEEP = ["sleep", "600"]


def be_zygote(control: socket.socket) -> None:
    linux.set_parent_death_signal(signal.SIGKILL)
    setproctitle.setproctitle("brama: zygote")
    if "refused" in os.environ.get("BRAMA_ZYGOTE", ""):
        control.send(encode_message(Refused("zygote.preload: refused starts a thread")))
        return
    print("warm", flush=True)
    control.send(encode_message(Warm(os.getpid(), linux.rss_anon_bytes(), linux.data_bytes(), 1.0)))
    master_pid = os.getppid()
    while True:
        datagram, fds, _, _ = socket.recv_fds(control, 4096, 1)
        if not datagram:
            return
        os.set_inheritable(fds[0], False)
        request = decode_to_zygote(datagram)

        def become(handshake: socket.socket, pipe_fd: int = fds[0]) -> None:
            be_worker(control, handshake, pipe_fd, master_pid)

        [outcome] = fork_for_parent([become])
        os.close(fds[0])
        answer: Forked | ForkFailed
        if isinstance(outcome, int):
            answer = Forked(request.bot_id, request.generation, outcome)
        else:
            answer = ForkFailed(request.bot_id, request.generation, outcome)
        control.send(encode_message(answer))


def be_worker(control: socket.socket, handshake: socket.socket, pipe_fd: int, master_pid: int) -> None:
    control.close()
    if not wait_reparented(handshake):
        os._exit(69)
    linux.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != master_pid:
        os._exit(69)
    os.setsid()
    channel = Channel(pipe_fd)
    boot = channel.take_first(60.0)
    assert isinstance(boot, Boot)
    os.environ.clear()
    os.environ.update(boot.environment)
    setproctitle.setproctitle(worker_title(boot.bot_id))
    linux.set_comm(comm_mark(boot.marker.partition("/")[0]))
    os.chdir(boot.cwd)
    channel.send_now([Hello(PROTOCOL_VERSION, os.getpid(), boot.generation)])
    os._exit(BEHAVIOURS[Path(boot.entry).stem](boot, channel))


# --- behaviours ---------------------------------------------------------------------------------


def serve(boot: Boot, channel: Channel) -> int:
    """Acknowledge all, beat, leave when asked."""
    channel.send_now([Ready(["message"], 1, False)])
    return _serve(boot, channel)


def _serve(boot: Boot, channel: Channel, *, obey: bool = True) -> int:
    for beat in range(1, 1_000_000):
        channel.send_now([Heartbeat(beat, boot.generation, 0.0, 0, linux.uss_bytes(), 0, 0)])
        until = monotonic_s() + boot.heartbeat_interval_s
        while (left_s := until - monotonic_s()) > 0:
            match channel.take_first(left_s):
                case Deliver(seq=seq, raw=b"die"):
                    channel.send_now([Begun([seq])])
                    os.kill(os.getpid(), signal.SIGSEGV)
                case Deliver(seq=seq):
                    channel.send_now([Begun([seq]), Released([seq]), Processed([seq])])
                case Drain() if obey:
                    return 0
                case _:
                    pass
    return 0


def stubborn(boot: Boot, channel: Channel) -> int:
    """Hear neither Drain nor SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel.send_now([Ready(None, 1, False)])
    return _serve(boot, channel, obey=False)


def late(boot: Boot, channel: Channel) -> int:
    """Hear no SIGTERM, and be ready when there is a file of this name in the working directory."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while not Path("ready").exists():
        select.select([], [], [], 0.01)
    return serve(boot, channel)


def halting(boot: Boot, channel: Channel) -> int:
    """Say what became of an update in two pieces, the second when there is a file "go"."""
    channel.send_now([Ready(None, 1, False)])
    while not isinstance(deliver := channel.take_first(60.0), Deliver):
        pass
    messages: list[FromWorker] = [Begun([deliver.seq]), Processed([deliver.seq])]
    said = encode_frame(encode_messages(messages))
    os.write(channel._fd, said[:7])
    while not Path("go").exists():
        select.select([], [], [], 0.01)
    os.write(channel._fd, said[7:])
    return _serve(boot, channel)


def exiting(boot: Boot, channel: Channel) -> int:
    """Be ready, then end with the code that the first argument says."""
    channel.send_now([Ready(None, 1, False)])
    return int(boot.args[0])


def stillborn(boot: Boot, channel: Channel) -> int:
    """End before being ready, with last words if there is a second argument."""
    if len(boot.args) > 1:
        channel.send_now([BootFailed(boot.args[1], f"{boot.entry}: {boot.args[1]}")])  # type: ignore[arg-type]
    return int(boot.args[0])


def busy(boot: Boot, channel: Channel) -> int:
    """Never leave the boot, and hold the interpreter's lock."""
    while True:
        pass


def crashing(boot: Boot, channel: Channel) -> int:
    """Read address 0."""
    channel.send_now([Ready(None, 1, False)])
    ctypes.string_at(0)
    return 0


def mute(boot: Boot, channel: Channel) -> int:
    """Be ready, close the pipe, live on."""
    channel.send_now([Ready(None, 1, False)])
    os.close(channel._fd)
    while True:
        signal.pause()


def babbling(boot: Boot, channel: Channel) -> int:
    """Write what is no message into the pipe in the first life, and live on."""
    channel.send_now([Ready(None, 1, False)])
    if boot.generation == 1:
        os.write(channel._fd, b"\xff nonsense")
    return _serve(boot, channel)


def reborn(boot: Boot, channel: Channel) -> int:
    """Execute something else in place."""
    channel.send_now([Ready(None, 1, False)])
    os.execvp(SLEEP[0], SLEEP)


def leaking(boot: Boot, channel: Channel) -> int:
    """Hold as many megabytes as the first argument says."""
    hoard = bytearray(os.urandom(1024 * 1024)) * int(boot.args[0])
    channel.send_now([Ready(None, 1, False)])
    return _serve(boot, channel) + len(hoard) * 0


def parental(boot: Boot, channel: Channel) -> int:
    """Leave children of all kinds, whose pids go to a file in the working directory; then serve."""
    kept = dict(os.environ)
    pids = [
        subprocess.Popen(SLEEP).pid,
        subprocess.Popen(SLEEP, start_new_session=True).pid,
        subprocess.Popen(SLEEP, process_group=0).pid,
        subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE).pid,
        _forked(),
        _daemon(kept),
        # Neither session nor environment tell whose this one is.
        subprocess.Popen(SLEEP, start_new_session=True, env={"PATH": kept.get("PATH", "/usr/bin:/bin")}).pid,
    ]
    Path("pids.new").write_text(" ".join(map(str, pids)))
    Path("pids.new").rename(f"pids.{boot.generation}")
    return serve(boot, channel)


def _forked() -> int:
    """Fork a child in a session of its own, which executes nothing."""
    if pid := os.fork():
        return pid
    os.setsid()
    while True:
        signal.pause()


def _daemon(environment: dict[str, str]) -> int:
    """Start a classical daemon: forked twice, parent gone."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.setsid()
        if pid := os.fork():
            os.write(write, str(pid).encode())
            os._exit(0)
        os.execvpe(SLEEP[0], SLEEP, environment)
    os.waitpid(child, 0)
    select.select([read], [], [], 10)
    return int(os.read(read, 20))


BEHAVIOURS: dict[str, Behaviour] = {
    each.__name__: each
    for each in (
        serve,
        stubborn,
        late,
        halting,
        exiting,
        stillborn,
        busy,
        crashing,
        mute,
        babbling,
        reborn,
        leaking,
        parental,
    )
}

if __name__ == "__main__":
    be_zygote(socket.socket(fileno=int(sys.argv[1])))
