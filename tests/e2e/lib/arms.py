"""A bandit's repository, and what its requests were worth."""

import json
import time

from .release import KeptFolder, Pipe, code, request

ARMS = ["v1", "v2", "v3"]
# Shares follow what was learned every 100 ms.
LEARNS = 0.15  # seconds


class Arms(KeptFolder):
    """Model m with three arms, and other, which has no bandit."""

    def fill(self):
        for version in ARMS:
            self.put("m", version, code(version))
        self.put("other", "v1", 7)

    def start(self, **more):
        status, body = self.control.put({"policy": "bandit", "arms": ARMS, **more})
        if status != 200:
            raise RuntimeError(f"PUT release: {status} {body}")
        return body

    def predict(self, count, **body):
        """[(request id, version)] of so many predictions."""
        with Pipe(self.server) as pipe:
            answers = pipe.ask([request(**body)] * count)
        # That feedback may come sooner is bandit.py's straight_away; nothing else depends on it.
        time.sleep(0.03)
        return [(answer["request_id"], answer["model_version"]) for _, answer in answers]

    def feed(self, *told):
        """The (status, body) of each feedback."""
        with Pipe(self.server) as pipe:
            return pipe.ask([feedback(**each) for each in told])

    def arms(self):
        return self.control.bandit()[1]

    def selected(self, count=1500):
        """The share of each arm among so many requests from now on."""
        time.sleep(2 * LEARNS)
        drawn = [version for _, version in self.predict(count)]
        return {version: drawn.count(version) / count for version in ARMS}


def feedback(**body):
    data = body.pop("raw", None) or json.dumps(body)
    data = data.encode()
    return (b"POST /feedback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(data)) + data


def learn(report, folder, what, reward, rounds=25, count=60):
    """Rounds of predictions and their rewards; `reward(version)`."""
    for _ in range(rounds):
        asked = folder.predict(count)
        answers = folder.feed(*({"request_id": id, "reward": reward(version)}
                                for id, version in asked))
        wrong = [answer for answer in answers if answer[0] != 200]
        if wrong:
            report.check(f"{what}: feedback is taken", False, wrong[:3])
            return
        time.sleep(LEARNS)
