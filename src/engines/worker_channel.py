"""What a worker hears from Sluice and says to it. Stands in front of sklearn_worker.py in the one
program that they make (CMakeLists.txt).

Messages are 32 bytes: kind, a number that depends on it, rows, and where the outputs go. Before the
first run they go over the socket; runs and their answers lie in the mailbox, and the socket rings
for whoever sleeps (engines/worker_mailbox.h says why that loses none). Features lie in the shared
memory, are looked at there, and results are written into it: nothing is pickled or copied for a
request. The C++ side is engines/python_worker.cc.
"""
import _thread
import mmap
import os
import socket
import struct
import sys
from time import perf_counter

SOCKET, MODEL, MEMORY, MAILBOX = 3, 5, 6, 7           # descriptors; 4 is this text
MESSAGE, DESCRIPTOR = struct.Struct("=IIQQQ"), struct.Struct("i")
RUN, RUN_IN_NEW_MEMORY = 1, 2                         # Sluice asks
HELLO, LOADED, REFUSED, DONE, RAISED = 1, 2, 3, 4, 5  # the worker says
UNWANTED = (1 << 64) - 1                              # the place of an output that nobody wants
RING = 9                                              # either, with the number of what it rings for
INPUT_ERROR, OTHER_ERROR, MEMORY_ERROR = 1, 2, 3      # what was raised
# The mailbox: words of 32 bits, of which Sluice writes the first three, and bytes for the messages.
ASKED, SLUICE_SLEEPS, AWAKE_US, ANSWERED, SLEEPS, TAKEN = 0, 1, 2, 32, 33, 34
QUESTION, ANSWER = 32, 160
LOOKS = range(50)                                     # into it, between two looks at the clock


class Channel:
    def __init__(self):
        self.socket = socket.socket(fileno=SOCKET)
        self.memory = mapped(MEMORY)
        self.mailbox = mapped(MAILBOX)
        self.words = memoryview(self.mailbox).cast("I")
        self.barrier = _thread.allocate_lock()  # a locked instruction; nobody else has it

    def put_text(self, text):
        data = text.encode("utf-8", "replace")
        if len(data) > len(self.memory):
            data = data[:1000]
        self.memory[:len(data)] = data
        return len(data)

    def say(self, kind, size=0):
        """Before the first run."""
        self.socket.send(MESSAGE.pack(kind, 0, size, 0, 0))

    def next(self):
        """The next question; none when Sluice has hung up."""
        words = self.words
        last = words[TAKEN]
        if not self.is_asked(last):
            words[SLEEPS] = 1
            with self.barrier:
                pass
            if not self.sleep(last):
                return None
        if words[AWAKE_US]:
            words[SLEEPS] = 0
        words[TAKEN] = words[ASKED]
        question = MESSAGE.unpack_from(self.mailbox, QUESTION)
        if question[0] == RUN_IN_NEW_MEMORY:
            self.remap()
        return question

    def is_asked(self, last):
        """Stays awake for a moment, letting others run: being woken up takes longer than that."""
        words = self.words
        until = perf_counter() + 1e-6 * words[AWAKE_US]
        while perf_counter() < until:
            for _ in LOOKS:
                if words[ASKED] != last:
                    return True
            os.sched_yield()
        return False

    def sleep(self, last):
        """Until there is a question. Without AWAKE_US memory may keep no order, and each question
        rings: its own ring has to have come. False when Sluice has hung up."""
        words = self.words
        ordered, rung = words[AWAKE_US] > 0, last
        while (words[ASKED] if ordered else rung) == last:
            data = self.socket.recv(MESSAGE.size)
            if not data:
                return False
            rung = MESSAGE.unpack(data)[2]
        return True

    def remap(self):
        """Another memory comes over the socket, perhaps behind rings that are late."""
        brought, space = [], socket.CMSG_LEN(DESCRIPTOR.size)
        while not brought:
            data, brought, _, _ = self.socket.recvmsg(MESSAGE.size, space)
            if not data:
                sys.exit()
        # No close(): a model may still look at the old one, which goes with the last look.
        self.memory = mapped(DESCRIPTOR.unpack(brought[0][2])[0])

    def reply(self, kind, detail, size):
        """To the question that was taken last."""
        words = self.words
        MESSAGE.pack_into(self.mailbox, ANSWER, kind, detail, size, 0, 0)
        words[ANSWERED] = words[TAKEN]
        with self.barrier:
            pass
        if words[SLUICE_SLEEPS]:
            self.ring()

    def ring(self):
        """A socket that is full of rings needs no other."""
        try:
            self.socket.send(MESSAGE.pack(RING, 0, self.words[TAKEN], 0, 0), socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass


def mapped(descriptor):
    memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    os.close(descriptor)
    return memory


