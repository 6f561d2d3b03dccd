"""Subscribers of one source that come back as browsers do: after `retry`, with the last id. Prints `ready` when all have their
snapshot; at SIGUSR1, one JSON object of what they saw. Usage: restart_crowd.py HOST PORT PATH COUNT
"""

import asyncio
import json
import resource
import signal
import sys
import time

HOST, PORT, PATH, COUNT = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

seen = {"reconnects": [], "lost": 0, "doubled": 0, "gaps": 0, "refused": 0, "events": 0, "last": [], "ready": 0}


class Subscriber(asyncio.Protocol):
    """A protocol of its own instead of a stream of asyncio's: ten thousand take a tenth of the time."""

    def __init__(self):
        self.id = ""
        self.sequence = None
        self.retry = 2.0
        self.isSnapshotDue = True
        self.open()

    def open(self):
        self.rest = b""
        self.name, self.identity = b"", ""
        self.isHeadDue = True
        self.isRefused = False

    def event(self, name, identity):
        if name == b"gap":
            seen["gaps"] += 1
        if name == b"snapshot" and not self.isSnapshotDue:
            seen["gaps"] += 1
        if not identity:
            return
        sequence = int(identity.rsplit("-", 1)[1])
        if self.sequence is not None:
            seen["lost"] += max(0, sequence - self.sequence - 1)
            seen["doubled"] += sequence <= self.sequence
        self.id, self.sequence = identity, sequence
        seen["events"] += 1
        if self.isSnapshotDue:
            self.isSnapshotDue = False
            seen["ready"] += 1

    async def connect(self):
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, HOST, PORT)
        except OSError:
            seen["refused"] += 1
            self.come_back()

    def come_back(self):
        self.open()
        asyncio.get_running_loop().call_later(self.retry, self.reconnect)

    def reconnect(self):
        seen["reconnects"].append(time.monotonic())
        tasks.add(task := asyncio.create_task(self.connect()))
        task.add_done_callback(tasks.discard)

    def connection_made(self, transport):
        self.transport = transport
        field = f"Last-Event-ID: {self.id}\r\n" if self.id else ""
        transport.write(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n".encode())

    def data_received(self, data):
        data = self.rest + data
        if self.isHeadDue:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self.rest = head
                return
            self.isHeadDue = False
            if not head.startswith(b"HTTP/1.1 200"):
                self.isRefused = True
                self.transport.close()
        # Each event is a chunk; its lines are those of the chunk, and the sizes between them name no field.
        *lines, self.rest = data.split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                self.event(self.name, self.identity)
                self.name, self.identity = b"", ""
            elif line.startswith(b"event: "):
                self.name = line[7:].rstrip()
            elif line.startswith(b"id: "):
                self.identity = line[4:].decode().rstrip()
            elif line.startswith(b"retry: "):
                self.retry = int(line[7:]) / 1000

    def connection_lost(self, error):
        seen["refused"] += error is not None or self.isHeadDue or self.isRefused
        self.come_back()


tasks = set()


async def main():
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, end.set)
    subscribers = [Subscriber() for _ in range(COUNT)]
    for number, subscriber in enumerate(subscribers):
        await subscriber.connect()
        if number % 200 == 199:
            await asyncio.sleep(0.05)
    while seen["ready"] < COUNT:
        await asyncio.sleep(0.02)
    print("ready", flush=True)
    await end.wait()
    seen["last"] = sorted({subscriber.sequence for subscriber in subscribers})
    print(json.dumps(seen), flush=True)


asyncio.run(main())
