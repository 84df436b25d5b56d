"""Peer: grpcio with a pool of ten threads, as the seed serves gRPC: grpcio_server.py MODEL.

PYTHONPATH holds prediction_pb2, which the bench compiles; a generic handler stands in for the
service stubs, so that no Python plugin of protoc is needed.
"""
import sys
from concurrent import futures

import grpc
import joblib
import numpy as np
from prediction_pb2 import PredictRequest, PredictResponse

model = joblib.load(sys.argv[1])


def predict(request, context):
    try:
        row = np.array([list(request.features)])
        label = model.predict(row)[0]
        sure = model.predict_proba(row)[0].max() if hasattr(model, "predict_proba") else 1.0
    except Exception as error:
        context.abort(grpc.StatusCode.INTERNAL, str(error))
    return PredictResponse(prediction=float(label), confidence=float(sure))


method = grpc.unary_unary_rpc_method_handler(
    predict, PredictRequest.FromString, PredictResponse.SerializeToString)
server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
server.add_generic_rpc_handlers(
    [grpc.method_handlers_generic_handler("PredictionService", {"Predict": method})])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"listening  grpc 127.0.0.1:{port}", flush=True)
server.wait_for_termination()
