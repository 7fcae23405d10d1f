"""FastAPI: one producer for the process, open for the lifespan of the application.

uvicorn --app-dir docs/examples fastapi_app:app
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request

from aioproducer import KafkaError, Producer, ProducerProtocol

# The constructor opens nothing and needs no event loop. An HTTP client waits seconds, not the two minutes of Kafka's
# default: so the delivery is bounded by ten.
producer = Producer(
    bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
    max_block_ms=3_000,
    request_timeout_ms=5_000,
    delivery_timeout_ms=10_000,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """SIGTERM ends the lifespan: the producer delivers what it has accepted, then closes."""
    async with producer:
        yield


app = FastAPI(lifespan=lifespan)


def get_producer() -> ProducerProtocol:
    """What the endpoints depend on; a test overrides it with app.dependency_overrides."""
    return producer


Sender = Annotated[ProducerProtocol, Depends(get_producer)]


@app.post("/orders/{customer}", status_code=201)
async def place_order(customer: str, request: Request, producer: Sender) -> dict[str, int]:
    """Answer when every in-sync replica has the order."""
    try:
        metadata = await producer.send("orders", await request.body(), key=customer.encode())
    except KafkaError as error:
        # possibly_written: the order may be there all the same, so the client must not think that it is not.
        raise HTTPException(503, detail={"possibly_written": error.possibly_written}) from error
    return {"partition": metadata.partition, "offset": metadata.offset}


@app.post("/clicks", status_code=202)
async def click(request: Request, producer: Sender) -> None:
    """Answer when there is room for the click; what becomes of it is in the statistics and in the log."""
    await producer.submit("clicks", await request.body())


@app.get("/ready")
async def ready() -> dict[str, float]:
    """For the readiness probe. Leave Kafka out of the liveness probe: restarting this process mends no broker."""
    status = producer.status()
    if not status.is_ready:
        raise HTTPException(503, detail=str(status.last_error))
    return {"oldest_unsent_seconds": status.oldest_unsent_seconds, "buffer_used": status.buffer_used}
