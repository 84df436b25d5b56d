"""One gRPC call with Debian's grpcio, a client that is not ours: grpc_probe.py ADDRESS METHOD.

A program of its own, because grpcio's threads do not go well with the forks of run.py.
The message is standard input, the answer's is standard output; an error status is the exit message.
"""
import sys

import grpc

address, method = sys.argv[1:]
with grpc.insecure_channel(address) as channel:
    try:
        sys.stdout.buffer.write(channel.unary_unary(method)(sys.stdin.buffer.read(), timeout=10))
    except grpc.RpcError as error:
        sys.exit(f"grpc-status {error.code().name}: {error.details()}")
