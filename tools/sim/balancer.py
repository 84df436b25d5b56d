#!/usr/bin/python3
"""What a balancer that speaks HTTP costs beside the server behind it: nginx hands on single-row
predictions to a `sluice serve`, over connections that stay open. Prints CPU time a request of both,
and the bytes of a request and of its answer.

Usage: tools/sim/balancer.py [--seconds 5] [--connections 64]    (needs nginx and wrk)
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shared_state import ROOT

sys.path.insert(0, str(ROOT / "tests/e2e"))
from lib.ports import free_port  # noqa: E402
from lib.server import MODELS, Server, golden  # noqa: E402

PATH = "/models/breast_cancer/versions/v1/predict"
TICK = 1 / os.sysconf("SC_CLK_TCK")
NGINX = """
daemon off;
worker_processes 2;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream replicas {{
    server {server};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} reuseport;
    location / {{
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


def cpu_of(pid):
    """Seconds of this process and its children that live."""
    used = 0.0
    for one in [pid, *children_of(pid)]:
        with open(f"/proc/{one}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        used += (int(fields[11]) + int(fields[12])) * TICK
    return used


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def wrk(port, scratch, options):
    """Requests that were answered, of which none may have failed."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "-s",
         str(ROOT / "bench/lib/post.lua"), f"http://127.0.0.1:{port}{PATH}"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "BENCH_BODY": str(scratch / "body"), "BENCH_LIB":
             str(ROOT / "bench/lib")})
    line = [line for line in done.stdout.split("\n") if line.startswith("RESULT ")]
    result = json.loads(line[0].removeprefix("RESULT "))
    if result["failed"] or not result["requests"]:
        raise RuntimeError(f"the load failed: {result}")
    return result


def sizes(port, body):
    """Bytes of a request as wrk writes it, and of its answer."""
    request = (f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n"
               "\r\n").encode() + body
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        answer = connection.recv(1 << 16)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"no prediction: {answer[:80]!r}")
    return len(request), len(answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Server(MODELS) as server:
        scratch = Path(folder)
        body = json.dumps({"features": golden("breast_cancer.v1")[0]["features"]}).encode()
        (scratch / "body").write_bytes(body)
        port = free_port()
        (scratch / "nginx.conf").write_text(NGINX.format(port=port, server=server.http))
        nginx = subprocess.Popen(["nginx", "-p", str(scratch), "-c", "nginx.conf", "-e", "stderr"])
        try:
            time.sleep(0.5)
            asked, answered = sizes(port, body)
            print(f"{asked} bytes a request, {answered} its answer")
            direct = int(server.http.rsplit(":", 1)[1])
            for what, at in (("without", direct), ("with nginx", port)):
                before = cpu_of(nginx.pid), cpu_of(server.pid)
                result = wrk(at, scratch, options)
                after = cpu_of(nginx.pid), cpu_of(server.pid)
                count = result["requests"]
                print(f"{what:10}: {count / result['seconds']:9,.0f} requests/s, CPU µs a request: "
                      f"server {1e6 * (after[1] - before[1]) / count:.1f}, "
                      f"nginx {1e6 * (after[0] - before[0]) / count:.1f}, "
                      f"load {os.getloadavg()[0]:.1f}", flush=True)
        finally:
            nginx.terminate()
            nginx.wait()


if __name__ == "__main__":
    main()
