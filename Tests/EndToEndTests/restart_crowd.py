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


class Subscriber:
    def __init__(self):
        self.id = ""
        self.sequence = None
        self.retry = 2.0
        self.isSnapshotDue = True

    def event(self, name, identity):
        if name == "gap":
            seen["gaps"] += 1
        if name == "snapshot" and not self.isSnapshotDue:
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

    async def follow(self):
        reader, writer = await asyncio.open_connection(HOST, PORT)
        field = f"Last-Event-ID: {self.id}\r\n" if self.id else ""
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            seen["refused"] += 1
            writer.close()
            return
        name, identity = "", ""
        # Each event is a chunk; its lines are those of the chunk, and the sizes between them name no field.
        while line := await reader.readline():
            line = line.rstrip(b"\r\n")
            if line.startswith(b"retry: "):
                self.retry = int(line[7:]) / 1000
            elif line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"id: "):
                identity = line[4:].decode()
            elif line.startswith(b"data: "):
                self.event(name, identity)
                name, identity = "", ""
        writer.close()

    async def run(self):
        isFirst = True
        while True:
            if not isFirst:
                await asyncio.sleep(self.retry)
                seen["reconnects"].append(time.monotonic())
            isFirst = False
            try:
                await self.follow()
            except (OSError, asyncio.IncompleteReadError):
                seen["refused"] += 1


async def main():
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, end.set)
    subscribers = [Subscriber() for _ in range(COUNT)]
    tasks = []
    for number, subscriber in enumerate(subscribers):
        tasks.append(asyncio.create_task(subscriber.run()))
        if number % 200 == 199:
            await asyncio.sleep(0.05)
    while seen["ready"] < COUNT:
        await asyncio.sleep(0.02)
    print("ready", flush=True)
    await end.wait()
    for task in tasks:
        task.cancel()
    seen["last"] = sorted({subscriber.sequence for subscriber in subscribers})
    print(json.dumps(seen), flush=True)


asyncio.run(main())
