"""aiohttp: one producer for the application, opened and closed by a cleanup context.

python docs/examples/aiohttp_app.py
"""

import os
from collections.abc import AsyncGenerator

from aiohttp import web

from aioproducer import KafkaError, Producer

PRODUCER = web.AppKey("producer", Producer)


async def producer_context(app: web.Application) -> AsyncGenerator[None]:
    """Everything up to yield runs at the start, the rest when the application has answered its last request."""
    async with Producer(
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        max_block_ms=3_000,
        request_timeout_ms=5_000,
        delivery_timeout_ms=10_000,
    ) as producer:
        app[PRODUCER] = producer
        yield


async def place_order(request: web.Request) -> web.Response:
    """Answer when every in-sync replica has the order."""
    try:
        metadata = await request.app[PRODUCER].send(
            "orders", await request.read(), key=request.match_info["customer"].encode()
        )
    except KafkaError as error:
        raise web.HTTPServiceUnavailable(text=type(error).__name__) from error
    return web.json_response({"partition": metadata.partition, "offset": metadata.offset}, status=201)


def make_app() -> web.Application:
    """Return the application; tests make one of their own."""
    app = web.Application()
    app.cleanup_ctx.append(producer_context)
    app.router.add_post("/orders/{customer}", place_order)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
