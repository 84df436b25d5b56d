"""A server that reads its models from a store, with a cache of its own."""

import subprocess

from .folder import LOOKING, Folder, wait_until
from .server import Server, command, environment


class Remote(Folder):
    """`with Remote(url, env) as remote:`; `serve` starts a server, `stop` kills it."""

    def __init__(self, url, env):
        super().__init__()
        self.url, self.env = url, env
        self.cache = self.path.parent / "cache"

    def extra(self, more=()):
        return [*LOOKING, "--cache-dir", str(self.cache), *more]

    def serve(self, *more, wait=True):
        self.stop()
        self.server = Server(self.url, extra=self.extra(more), env=self.env, wait=wait)
        return self.server

    def refusal(self):
        """(exit code, what it says) of a server that is to end at once."""
        done = subprocess.run(command(self.url, extra=self.extra()), capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, env={**environment(), **self.env})
        return done.returncode, done.stderr.decode()

    def serves(self, report, what, version, code, model="m", seconds=20):
        took = wait_until(lambda: self.ask(model) == (200, version, code), seconds)
        return report.check(what, took is not None,
                            (self.ask(model), self.models(), self.server.stderr()[-1500:]))

    def says(self, report, what, *words, seconds=15):
        took = wait_until(lambda: self.log_lines(*words), seconds, every=0.1)
        return report.check(what, took is not None, self.server.stderr()[-1500:])
