"""The HTTP side: place an order, query it, cancel it. A request that is denied here is no order, and no event."""

import json
from uuid import UUID

from aiohttp import web

from .sale import Sale

SALE = web.AppKey("sale", Sale)
MOST_UNITS = 10
HTTP_STATUS = {"pending": 202, "sold_out": 409, "unavailable": 503}
routes = web.RouteTableDef()


def build(sale: Sale) -> web.Application:
    """Make the application."""
    app = web.Application(client_max_size=4096)
    app[SALE] = sale
    app.add_routes(routes)
    return app


@routes.post("/orders")
async def place(request: web.Request) -> web.Response:
    """Accept `{"product_id": "sku-1", "quantity": 1}`: 202 with the order's id, 409 sold out, 503 try again."""
    product_id, quantity = _wish(await request.text())
    placed = await request.app[SALE].place(product_id, quantity)
    if placed is None:
        raise web.HTTPNotFound(text="no such product")
    order_id, answer = placed
    return web.json_response({"order_id": order_id, "answer": answer}, status=HTTP_STATUS[answer])


@routes.get("/orders/{order_id}")
async def show(request: web.Request) -> web.Response:
    """Return an order's status."""
    status = await request.app[SALE].orders.status(_order_id(request))
    if status is None:
        raise web.HTTPNotFound(text="no such order")
    return web.json_response({"status": status})


@routes.delete("/orders/{order_id}")
async def cancel(request: web.Request) -> web.Response:
    """Cancel an order: 204, or 409 if it is already decided."""
    cancelled = await request.app[SALE].cancel(_order_id(request))
    return web.Response(status=204 if cancelled else 409)


@routes.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    """Answer while the process lives."""
    return web.Response(text="ok")


def _wish(body: str) -> tuple[str, int]:
    try:
        wish = json.loads(body)
        product_id, quantity = wish["product_id"], wish.get("quantity", 1)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise web.HTTPBadRequest(text='expected {"product_id": ..., "quantity": ...}') from None
    if not isinstance(product_id, str) or type(quantity) is not int or not 1 <= quantity <= MOST_UNITS:
        raise web.HTTPBadRequest(text=f"product_id is a string, quantity an integer from 1 to {MOST_UNITS}")
    return product_id, quantity


def _order_id(request: web.Request) -> str:
    try:
        return str(UUID(request.match_info["order_id"]))
    except ValueError:
        raise web.HTTPNotFound(text="no such order") from None
