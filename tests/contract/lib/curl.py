"""HTTP/2 through curl, for cases about what an answer says rather than about frames."""

import subprocess
import time

from . import wire


def exchange(address, method, path, headers, body, within):
    """What wire.exchange gives for one request; `headers` with None are left out."""
    host, port = address
    command = ["curl", "--http2-prior-knowledge", "--silent", "--show-error", "--include",
               "--path-as-is", "--globoff", "--noproxy", "*", "--max-time", str(within),
               "-H", "Accept:", "-H", "User-Agent:"]
    command += ["--head"] if method == "HEAD" else ["-X", method]
    # curl itself sends the length, and :authority for the host.
    given = {name: value for name, value in headers.items()
             if name.lower() not in ("host", "content-length")}
    given.setdefault("Content-Type", None)
    for name, value in given.items():
        command += ["-H", f"{name}:" if value is None else f"{name}: {value}"]
    if body:
        command += ["--data-binary", "@-"]
    out = wire.Exchange()
    began = time.monotonic()
    done = subprocess.run([*command, f"http://{host}:{port}{path}"], input=body,
                          capture_output=True, timeout=within + 10, check=False)
    out.elapsed = time.monotonic() - began
    out.answers, out.garbage = wire.parse_answers(done.stdout, [method])
    if done.returncode != 0:
        out.garbage += done.stderr
    return out
