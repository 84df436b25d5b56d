"""Peer: FastAPI + uvicorn + joblib, one process, as the seed serves REST: fastapi_app.py MODEL.

Access logging is off, which favours the peer.
"""
import socket
import sys

import joblib
import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(sys.argv[1])


class Features(BaseModel):
    features: list[float]


class Prediction(BaseModel):
    prediction: float
    confidence: float
    model_version: str


@app.post("/predict", response_model=Prediction)
async def predict(body: Features):
    try:
        row = np.array([body.features])
        label = model.predict(row)[0]
        sure = model.predict_proba(row)[0].max() if hasattr(model, "predict_proba") else 1.0
    except Exception as error:
        raise HTTPException(500, str(error))
    return Prediction(prediction=float(label), confidence=float(sure), model_version="v1")


@app.get("/health")
async def health():
    return {"status": "healthy", "model_loaded": True}


if __name__ == "__main__":
    # The protocol must be named: asyncio turns Nagle's algorithm off only where it reads TCP there,
    # and with it on every answer would take 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    print(f"listening  http 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
