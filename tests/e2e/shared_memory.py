#!/usr/bin/python3
"""System shared memory: Python's multiprocessing.shared_memory on the client's side, and a client
that shrinks, unlinks or swaps its region at any time. The server answers an error, and lives.
"""

import os
import struct
import threading
import time
import urllib.parse
from multiprocessing.shared_memory import SharedMemory

from lib import oip, rpc
from lib.server import ROOT, Report, Server

A, B = [1.0, 2.0], [10.0, 20.0]
SUM = [11.0, 22.0]
SIZE = 4096
FOLDER = "/dev/shm"
MARK = b"\xaa"


def packed(values):
    return struct.pack(f"<{len(values)}f", *values)


def place(region, offset, size):
    return {"shared_memory_region": region, "shared_memory_offset": offset,
            "shared_memory_byte_size": size}


def plain(name, values):
    return oip.Tensor(name, "FP32", [1, 2], values)


def shared(name, parameters):
    return {"name": name, "datatype": "FP32", "shape": [1, 2], "parameters": parameters}


class Region:
    """A region of this process, registered over REST under a name of its own."""

    made = 0

    def __init__(self, rest, size=SIZE, offset=0, byte_size=None):
        Region.made += 1
        self.memory = SharedMemory(create=True, size=size)
        self.memory.buf[:] = MARK * size
        self.name, self.rest = f"region{Region.made}", rest
        self.path = f"/v2/systemsharedmemory/region/{self.name}"
        body = {"key": "/" + self.memory.name, "offset": offset,
                "byte_size": size - offset if byte_size is None else byte_size}
        self.status = rest.status("POST", self.path + "/register", body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.rest.status("POST", self.path + "/unregister")
        self.memory.close()
        try:
            self.memory.unlink()
        except FileNotFoundError:
            pass

    def put(self, offset, values):
        self.memory.buf[offset:offset + 4 * len(values)] = packed(values)

    def get(self, offset, count=2):
        return list(struct.unpack_from(f"<{count}f", self.memory.buf, offset))

    def shrink(self, size):
        os.truncate(f"{FOLDER}/{self.memory.name}", size)

    def length(self):
        return os.stat(f"{FOLDER}/{self.memory.name}").st_size


class Tests:
    def __init__(self, server):
        self.server, self.rest = server, oip.Rest(server)

    def infer(self, *inputs, **more):
        return self.rest.infer("/v2/models/two_inputs", inputs, **more)

    def outcome(self, *inputs, **more):
        """The status of a prediction."""
        try:
            self.infer(*inputs, **more)
        except oip.RestError as error:
            return error.status
        return 200

    def alive(self, report, what):
        answer = self.infer(plain("a", A), plain("b", B))
        report.equal(f"{what}: the server serves", answer["sum"].values, SUM)

    def in_and_out(self, report):
        with Region(self.rest) as region:
            report.equal("registered", region.status, 200)
            region.put(16, A)
            out = self.infer(shared("a", place(region.name, 16, 8)), plain("b", B),
                             outputs=[{"name": "sum", "parameters": place(region.name, 100, 8)},
                                      {"name": "diff"}])
            report.equal("the sum is in the region", region.get(100), SUM)
            report.equal("and not in the answer", out["sum"].values, [])
            report.equal("the other output is", out["diff"].values, [-9, -18])
            whole = bytes(region.memory.buf)
            around = whole[:16] + whole[24:100] + whole[108:]
            report.check("nothing else is touched", around == MARK * len(around))

    def offsets(self, report):
        """The region begins somewhere in the memory, the tensor somewhere in the region."""
        with Region(self.rest, offset=1000, byte_size=64) as region:
            region.put(1008, A)
            self.infer(shared("a", place(region.name, 8, 8)), plain("b", B),
                       outputs=[{"name": "sum", "parameters": place(region.name, 56, 8)}])
            report.equal("the sum is at its place", region.get(1056), SUM)
            for offset, size in ((57, 8), (64, 8), (1000, 8), (2**64 - 4, 8), (0, 2**63)):
                status = self.outcome(shared("a", place(region.name, offset, size)), plain("b", B))
                report.equal(f"offset {offset}, size {size}: beyond the region", status, 400)

    def sizes(self, report):
        with Region(self.rest) as region:
            for size in (0, 4, 7, 9, 16):
                status = self.outcome(shared("a", place(region.name, 0, size)), plain("b", B))
                report.equal(f"an input of {size} bytes", status, 400)
            wanted = [{"name": "sum", "parameters": place(region.name, 0, 4)}]
            status = self.outcome(plain("a", A), plain("b", B), outputs=wanted)
            report.equal("an output that has no room", status, 400)
            report.equal("is not written", bytes(region.memory.buf[:8]), MARK * 8)

    def registered(self, report):
        with Region(self.rest) as region:
            key = "/" + region.memory.name
            _, body = self.rest.call("GET", region.path + "/status")
            report.check("status", f'"key":"{key}"' in body.decode() and '"byte_size":4096'
                         in body.decode(), body)
            again = {"key": key, "offset": 0, "byte_size": 8}
            report.equal("a name twice", self.rest.status("POST", region.path + "/register", again),
                         409)
            other = region.path.replace(region.name, "other")
            for offset, size in ((0, SIZE + 1), (SIZE, 1), (SIZE - 4, 8)):
                body = {"key": key, "offset": offset, "byte_size": size}
                report.equal(f"{size} bytes at {offset}: beyond the memory",
                             self.rest.status("POST", other + "/register", body), 400)
            self.rest.call("POST", region.path + "/unregister")
            report.equal("after unregistering",
                         self.outcome(shared("a", place(region.name, 0, 8)), plain("b", B)), 400)

    def over_grpc(self, report):
        with rpc.channel(self.server.grpc) as channel, Region(self.rest) as region:
            calls, pb = rpc.Oip(channel), rpc.oip_pb2
            key = "/" + region.memory.name
            calls.SystemSharedMemoryRegister(pb.SystemSharedMemoryRegisterRequest(
                name="mine", key=key, offset=8, byte_size=SIZE - 8), timeout=20)
            report.equal("twice", rpc.failure(calls.SystemSharedMemoryRegister,
                         pb.SystemSharedMemoryRegisterRequest(name="mine", key=key,
                                                              byte_size=8))[0], "ALREADY_EXISTS")
            status = calls.SystemSharedMemoryStatus(pb.SystemSharedMemoryStatusRequest())
            report.check("status", status.regions["mine"].byte_size == SIZE - 8, status)
            region.put(8, A)
            request = oip.grpc_request("two_inputs", "", [plain("b", B)])
            tensor = request.inputs.add(name="a", datatype="FP32", shape=[1, 2])
            fill(tensor.parameters, place("mine", 0, 8))
            fill(request.outputs.add(name="sum").parameters, place("mine", 16, 8))
            request.outputs.add(name="diff")
            answer = calls.ModelInfer(request, timeout=20)
            report.equal("the sum is in the region", region.get(24), SUM)
            report.equal("its place in the answer is empty", answer.raw_output_contents[0], b"")
            report.equal("the other output", oip.from_raw("FP32", answer.raw_output_contents[1]),
                         [-9, -18])
            report.equal("the region is told",
                         answer.outputs[0].parameters["shared_memory_region"].string_param, "mine")
            region.shrink(0)
            report.equal("shrunk", rpc.failure(calls.ModelInfer, request)[0], "INVALID_ARGUMENT")
            answers = list(calls.ModelStreamInfer(iter([request]), timeout=20))
            report.check("shrunk, in a stream", "shared memory" in answers[0].error_message)
            calls.SystemSharedMemoryUnregister(pb.SystemSharedMemoryUnregisterRequest(name="mine"))
            report.equal("unregistered", rpc.failure(calls.ModelInfer, request)[0],
                         "INVALID_ARGUMENT")
        self.alive(report, "over gRPC")

    def shrinks(self, report):
        for size in (0, 4, 16, 23):
            with Region(self.rest) as region:
                region.shrink(size)
                status = self.outcome(shared("a", place(region.name, 16, 8)), plain("b", B))
                report.equal(f"an input in a region of {size} bytes", status, 400)
                wanted = [{"name": "sum", "parameters": place(region.name, 16, 8)}]
                status = self.outcome(plain("a", A), plain("b", B), outputs=wanted)
                report.equal(f"an output in a region of {size} bytes", status, 400)
                report.equal("the region has not grown", region.length(), size)
        self.alive(report, "shrinks")

    def shrinks_all_the_time(self, report):
        """Between the look at the size and the reading: a map would end the server with SIGBUS."""
        with Region(self.rest, size=1 << 20) as region:
            done = threading.Event()

            def flap():
                while not done.is_set():
                    region.shrink(0)
                    region.shrink(1 << 20)

            flapping = threading.Thread(target=flap)
            flapping.start()
            statuses, until = {}, time.monotonic() + 2
            wanted = [{"name": "sum", "parameters": place(region.name, 8, 8)}]
            while time.monotonic() < until:
                status = self.outcome(shared("a", place(region.name, 900000, 8)), plain("b", B),
                                      outputs=wanted)
                statuses[status] = statuses.get(status, 0) + 1
            done.set()
            flapping.join()
            report.check("answers are 200 or 400, and both", statuses.keys() == {200, 400},
                         statuses)
        self.alive(report, "shrinks all the time")

    def unlinks(self, report):
        with Region(self.rest) as region:
            region.put(0, A)
            region.memory.unlink()
            # The memory itself is there as long as someone has it open, as POSIX has it.
            status = self.outcome(shared("a", place(region.name, 0, 8)), plain("b", B))
            report.check("a region without a name: an answer", status in (200, 400), status)
            body = {"key": "/" + region.memory.name, "offset": 0, "byte_size": 8}
            status = self.rest.status("POST", region.path + "2/register", body)
            report.equal("its key is gone", status, 400)
        self.alive(report, "unlinks")

    def strange_files(self, report):
        """Only plain memory is opened, and only that of the name itself."""
        names = [f"sluice_e2e_{kind}_{os.getpid()}" for kind in ("link", "fifo", "folder")]
        link, fifo, folder = (f"{FOLDER}/{name}" for name in names)
        os.symlink("/etc/hostname", link)
        os.mkfifo(fifo)
        os.mkdir(folder)
        try:
            for name in (*names, urllib.parse.quote(f"../..{FOLDER}/{names[0]}", safe="")):
                body = {"key": "/" + name, "offset": 0, "byte_size": 1}
                path = "/v2/systemsharedmemory/region/strange/register"
                report.equal(f"{name.split('_')[-2]}", self.rest.status("POST", path, body), 400)
        finally:
            os.unlink(link)
            os.unlink(fifo)
            os.rmdir(folder)
        self.alive(report, "strange files")

    def too_many(self, report):
        path = "/v2/systemsharedmemory/region/many{}/register"
        with Region(self.rest) as region:
            body = {"key": "/" + region.memory.name, "offset": 0, "byte_size": 8}
            statuses = [self.rest.status("POST", path.format(i), body) for i in range(128)]
            report.equal("no more than 128", (statuses[126], statuses[127]), (200, 400))
            files = len(os.listdir(f"/proc/{self.server.pid}/fd"))
            self.rest.call("POST", "/v2/systemsharedmemory/unregister")
            left = len(os.listdir(f"/proc/{self.server.pid}/fd"))
            report.equal("files that are closed again", files - left, 128)
        _, body = self.rest.call("GET", "/v2/systemsharedmemory/status")
        report.equal("none is left", body, b"[]")


def fill(parameters, values):
    for key, value in values.items():
        if isinstance(value, str):
            parameters[key].string_param = value
        else:
            parameters[key].int64_param = value


def switched_off(report):
    with Server(ROOT / "tests/models/two_inputs.onnx") as server:
        rest = oip.Rest(server)
        with Region(rest) as region:
            report.equal("without --allow-client-shm", region.status, 501)


def main():
    with Server(ROOT / "tests/models/two_inputs.onnx", extra=["--allow-client-shm"]) as server:
        tests = Tests(server)

        def ends(report):
            server.signal()
            report.equal("exit code", server.wait(), 0)

        Report("shared_memory").run(
            tests.in_and_out, tests.offsets, tests.sizes, tests.registered, tests.over_grpc,
            tests.shrinks, tests.shrinks_all_the_time, tests.unlinks, tests.strange_files,
            tests.too_many, switched_off, ends)


if __name__ == "__main__":
    main()
