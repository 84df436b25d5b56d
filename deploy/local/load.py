"""The clients of deploy/local/proof, in a process of their own: users who ask through nginx over a few
connections that stay open, one request of a user's at a time, and tell for a part of the answers what
they were worth. Whatever comes is written down, one line each (evidence.py reads them).

    load.py ADDRESS MODEL ROWS LOG RATE SHARE

RATE: requests a second in all; SHARE: of answers that get feedback. ROWS are those of examples/golden.
It is told on standard input, and answers a line to each:

    go                   everybody asks
    stop                 nobody does; answered when nothing is under way any more
    direct ADDRESS,…     others ask these replicas too, past nginx, as fast as they are answered
"""

import asyncio
import json
import sys
import time

CONNECTIONS, USERS = 8, 240
TELLERS = 4  # connections for feedback
DIRECT_USERS = 40  # of each replica
DIRECT_PAUSE = 0.004  # seconds
TOLD_AFTER = 0.5  # seconds from an answer to its feedback
TELL_AGAIN, MOST_TELLS = 0.3, 100
KNOWN_AFTER = 8  # seconds in which a replica that was cut off says what it has answered


class Line:
    """One connection over which one request after the other goes."""

    def __init__(self, address):
        self.host, port = address.rsplit(":", 1)
        self.port, self.streams = int(port), None

    async def post(self, path, body, headers=""):
        """(status, body, "") or (0, None, why) where the connection broke."""
        data = json.dumps(body).encode()
        head = (f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
                f"{headers}Content-Length: {len(data)}\r\n\r\n")
        try:
            if self.streams is None:
                self.streams = await asyncio.open_connection(self.host, self.port)
            reader, writer = self.streams
            writer.write(head.encode() + data)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in answer[1:] if line)
            text = await reader.readexactly(int(fields["content-length"]))
            if fields.get("connection") == "close":
                self.close()
            return int(answer[0].split()[1]), self.parsed(text), ""
        except (OSError, EOFError, KeyError, ValueError) as error:
            self.close()
            return 0, None, f"{type(error).__name__}: {error}"

    @staticmethod
    def parsed(text):
        try:
            return json.loads(text)
        except ValueError:  # a page of nginx's
            return {"error": {"code": text[:80].decode(errors="replace")}}

    def close(self):
        if self.streams is not None:
            self.streams[1].close()
        self.streams = None


class Clients:
    def __init__(self, address, model, rows, log, rate, share):
        self.address, self.model = address, model
        self.every = CONNECTIONS / float(rate)
        self.told_every = round(1 / float(share)) if float(share) else 0
        with open(rows) as lines:
            self.rows = [json.loads(line)["features"] for line in lines]
        self.log = open(log, "w", buffering=1 << 16)
        self.going, self.under_way, self.number = asyncio.Event(), 0, 0
        self.tellings, self.directs = set(), []
        self.tellers = asyncio.Queue()
        for _ in range(TELLERS):
            self.tellers.put_nowait(Line(address))

    def note(self, kind, sent, user, request_id, status, version, what):
        self.log.write(json.dumps([kind, sent, time.time(), user, request_id, status, version,
                                   what]) + "\n")

    async def ask(self, line, kind, user, row):
        """One prediction. What is noted of it is what a client sees: the version, and the row and the
        answer, or the error's code."""
        self.number += 1
        number = self.number
        request_id = f"{kind}{number}"
        body = {"features": self.rows[row], "user_id": user, "request_id": request_id}
        sent = time.time()
        self.under_way += 1
        try:
            status, answer, why = await line.post(f"/models/{self.model}/predict", body,
                                                  f"X-Request-Id: {request_id}\r\n")
        finally:
            self.under_way -= 1
        if status == 200:
            what = [row, answer["prediction"], answer.get("confidence")]
            if kind == "p" and self.told_every and number % self.told_every == 0:
                telling = asyncio.create_task(self.tell(user, request_id))
                self.tellings.add(telling)
                telling.add_done_callback(self.tellings.discard)
        else:
            what = why or answer.get("error", {}).get("code", str(answer))
        version = (answer or {}).get("model_version", "")
        self.note(kind, sent, user, request_id, status, version, what)

    async def tell(self, user, request_id):
        """Feedback, again and again until it is taken: nobody may decide (503), or nobody know the
        request yet (404). A repetition of what was taken is refused (409), so that it counts once
        however often it is told."""
        await asyncio.sleep(TOLD_AFTER)
        sent, statuses = time.time(), []
        while len(statuses) < MOST_TELLS:
            line = await self.tellers.get()
            status, answer, why = await line.post("/feedback", {"request_id": request_id,
                                                                "reward": 1})
            self.tellers.put_nowait(line)
            statuses.append(status)
            if status in (200, 409) or (status == 404 and time.time() > sent + KNOWN_AFTER):
                break
            await asyncio.sleep(TELL_AGAIN)
        version = (answer or {}).get("model_version", "")
        self.note("f", sent, user, request_id, status, version, statuses or why)

    async def users(self, connection):
        """Those of one connection, in turn."""
        line, turn = Line(self.address), connection
        at = time.monotonic()
        while True:
            await self.going.wait()
            at = max(at + self.every, time.monotonic() - 1)
            await asyncio.sleep(max(0, at - time.monotonic()))
            if self.going.is_set():
                user = turn % USERS
                await self.ask(line, "p", f"u{user}", user % len(self.rows))
                turn += CONNECTIONS

    async def direct(self, replica, address):
        line, turn = Line(address), 0
        while self.going.is_set():
            user = turn % DIRECT_USERS
            await self.ask(line, f"d{replica}-", f"d{replica}-{user}", user % len(self.rows))
            turn += 1
            await asyncio.sleep(DIRECT_PAUSE)
        line.close()

    async def told(self, words):
        if words[0] == "go":
            self.going.set()
        elif words[0] == "direct":
            self.directs = [asyncio.create_task(self.direct(number, address))
                            for number, address in enumerate(words[1].split(","))]
        elif words[0] == "stop":
            self.going.clear()
            await asyncio.gather(*self.directs)
            self.directs = []
            while self.under_way:
                await asyncio.sleep(0.01)
            await asyncio.gather(*self.tellings)
            self.log.flush()

    async def run(self):
        asking = [asyncio.create_task(self.users(one)) for one in range(CONNECTIONS)]
        loop = asyncio.get_running_loop()
        told = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
        while words := (await told.readline()).decode().split():
            await self.told(words)
            broken = [one.exception() for one in asking if one.done()]
            print("done" if not broken else f"broken: {broken[0]!r}", flush=True)
        for one in asking:
            one.cancel()


async def main():
    await Clients(*sys.argv[1:]).run()


if __name__ == "__main__":
    asyncio.run(main())
