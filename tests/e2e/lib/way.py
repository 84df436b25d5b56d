"""TCP ways that can be cut."""

import socket
import threading


class Way:
    """A TCP way to a port. `cut`: nothing passes, and what stood is closed. `deafen`: what is said
    arrives, answers do not."""

    def __init__(self, port):
        self.target, self.open, self.deaf = port, True, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs, self.lock = [], threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                inner = self.listener.accept()[0]
            except OSError:
                return
            if not self.open:
                inner.close()
                continue
            try:
                outer = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                inner.close()
                continue
            with self.lock:  # or one would be kept that a cut has not seen
                whole = self.open
                if whole:
                    self.pairs.append((inner, outer))
            if not whole:
                inner.close()
                outer.close()
                continue
            for source, sink, answers in ((inner, outer, False), (outer, inner, True)):
                threading.Thread(target=self._pump, args=(source, sink, answers),
                                 daemon=True).start()

    def _pump(self, source, sink, answers):
        try:
            while data := source.recv(1 << 16):
                if not (answers and self.deaf):
                    sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self.lock:
            self.open = False
            for pair in self.pairs:
                for end in pair:
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
            self.pairs = []

    def mend(self):
        self.open, self.deaf = True, False

    def close(self):
        self.cut()
        self.listener.close()
