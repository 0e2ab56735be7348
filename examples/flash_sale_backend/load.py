"""Buy from the backend, for a while: python -m examples.flash_sale_backend.load --orders 500 --rate 100."""

import argparse
import asyncio
import random
from collections import Counter

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

PRODUCTS = ("sku-1", "sku-2", "sku-3")
OPEN_AT_MOST = 100  # connections
MOST_ORDERS, MOST_RATE, MOST_SECONDS = 100_000, 1_000, 600


class Shopper:
    """Places orders, and counts the answers."""

    def __init__(self, session: ClientSession, rng: random.Random, cancelled: float) -> None:
        self._session = session
        self._rng = rng
        self._cancelled = cancelled
        self.answers = Counter[str]()

    async def order(self) -> None:
        """Order something, and sometimes cancel it."""
        wish = {"product_id": self._rng.choice(PRODUCTS), "quantity": self._rng.randint(1, 2)}
        second_thoughts = self._rng.random() < self._cancelled
        try:
            async with self._session.post("/orders", json=wish) as response:
                placed = await response.json() if response.content_type == "application/json" else {}
            self.answers[placed.get("answer", f"HTTP {response.status}")] += 1
            if second_thoughts and placed.get("answer") == "pending":
                async with self._session.delete(f"/orders/{placed['order_id']}") as response:
                    self.answers["cancelled" if response.status == 204 else "too late to cancel"] += 1
        except (ClientError, TimeoutError) as exc:
            self.answers[type(exc).__name__] += 1  # no answer: it may have been ordered, or not


async def shop(options: argparse.Namespace) -> Counter[str]:
    """Order at a steady rate, whatever the answers: shoppers do not wait for each other."""
    timeout, connector = ClientTimeout(total=10), TCPConnector(limit=OPEN_AT_MOST)
    async with ClientSession(options.url, timeout=timeout, connector=connector) as session:
        shopper = Shopper(session, random.Random(options.seed), options.cancelled)
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as orders:
            for number in range(options.orders):
                due = number / options.rate
                if due > options.seconds:
                    break
                await asyncio.sleep(began + due - asyncio.get_running_loop().time())
                orders.create_task(shopper.order())
    return shopper.answers


def read_arguments() -> argparse.Namespace:
    """Read the command line, within bounds."""
    parser = argparse.ArgumentParser(description="Buy from the example backend, for a while.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--orders", type=int, default=500, help=f"at most {MOST_ORDERS}")
    parser.add_argument("--rate", type=float, default=50, help=f"orders a second, at most {MOST_RATE}")
    parser.add_argument("--seconds", type=float, default=60, help=f"for how long, at most {MOST_SECONDS}")
    parser.add_argument("--cancelled", type=float, default=0.03, help="the share that is cancelled at once")
    parser.add_argument("--seed", type=int, help="repeat the same orders")
    options = parser.parse_args()
    within = {"orders": MOST_ORDERS, "rate": MOST_RATE, "seconds": MOST_SECONDS}
    for name, most in within.items():
        if not 0 < getattr(options, name) <= most:
            parser.error(f"--{name} is from 0 to {most}")
    return options


if __name__ == "__main__":
    for answer, count in asyncio.run(shop(read_arguments())).most_common():
        print(f"{count:7}  {answer}")
