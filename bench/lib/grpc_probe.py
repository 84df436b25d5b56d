"""One gRPC call with Debian's grpcio, a client that is not ours: grpc_probe.py ADDRESS MESSAGE_HEX.

A program of its own, because grpcio's threads do not go well with the forks of run.py.
Prints the answer's message in hexadecimal; an error status is the exit message.
"""
import sys

import grpc

address, message = sys.argv[1], bytes.fromhex(sys.argv[2])
with grpc.insecure_channel(address) as channel:
    try:
        print(channel.unary_unary("/PredictionService/Predict")(message, timeout=10).hex())
    except grpc.RpcError as error:
        sys.exit(f"grpc-status {error.code().name}: {error.details()}")
