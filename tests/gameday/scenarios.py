"""The game day: every scenario, in the order in which it is printed."""

from tests.gameday import actions as do
from tests.gameday.judge import Page
from tests.gameday.scenario import Scenario, at, critical, fault, products, recovery, warning
from tests.gameday.shop import PUBSUB, STREAM
from tests.gameday.stack import PRIMARY, SIDECAR

RUSH = do.turn(rate=40)
QUIET = do.turn(rate=0)
ALL = ("api-1", "api-2", "api-3", "api-4")
MISSED = warning("CompletenessBelowOne", resolves=False), Page("CompletenessBelowOne", resolves=False)
SERVER_DOWN = warning("RedisServerDown")

HEALTHY = (
    Scenario(
        name="sim8",
        what="simulate 50/s, 8 products, stream",
        steps=(at(0, do.simulate(rate=50, products=8, seed=11, duration=60, idle=55)), at(60, QUIET)),
        after=60,
        ends=True,
    ),
    Scenario(
        name="sim200",
        what="simulate 120/s, 200 products, stream",
        steps=(at(0, do.simulate(rate=120, products=200, seed=12, duration=60, idle=55)), at(60, QUIET)),
        after=60,
        ends=True,
    ),
    Scenario(
        name="simlow",
        what="simulate 4/s, 8 products, stream",
        steps=(at(0, do.simulate(rate=4, products=8, seed=13, duration=60, idle=55)), at(60, QUIET)),
        after=60,
        ends=True,
    ),
    Scenario(
        name="simpub",
        what="simulate 20/s, 200 products, pub/sub",
        steps=(
            at(0, do.simulate(transport="pubsub", rate=20, products=200, seed=21, duration=60, idle=55)),
            at(60, QUIET),
        ),
        after=60,
        ends=True,
    ),
    Scenario(
        name="unsold",
        what="40/s for 60 s, most of the stock unsold; the backends stay",
        steps=(at(0, RUSH), at(60, QUIET)),
        after=60,
        ends=True,
    ),
    Scenario(
        name="tail",
        what="40/s for 60 s, a little of one product left, then 0.2/s for 30 s",
        steps=(at(0, RUSH), at(60, do.turn(rate=0.2)), at(90, QUIET)),
        stock=products(7, 150) | {"sku-8": 250},
        after=60,
        ends=True,
    ),
    Scenario(
        name="sold-out",
        what="40/s for 70 s, sold out to the last unit after some 40 s",
        steps=(at(0, RUSH), at(70, QUIET)),
        stock=products(8, 60),
        after=60,
        ends=True,
    ),
    Scenario(
        name="smoke-test",
        what="smoke test 3/s for 30 s, 40 s nothing, sale of 200 products for 40 s, part of it unsold",
        steps=(at(0, do.turn(rate=3)), at(30, QUIET), at(70, RUSH), at(110, QUIET)),
        stock=products(200, 20),
        after=60,
        ends=True,
    ),
    Scenario(
        name="shut-down",
        what="40/s for 50 s, 45 s nothing, then the backends are shut down",
        steps=(at(0, RUSH), at(50, QUIET), at(95, do.die(*ALL))),
        after=60,
        ends=True,
    ),
    Scenario(
        name="said-over",
        what="40/s for 50 s, the backend says that the sale is over, and is shut down 3 s later",
        steps=(at(0, RUSH), at(50, QUIET), at(52, do.say("stop")), at(55, do.die(*ALL))),
        after=60,
        ends=True,
    ),
    Scenario(
        name="deployed",
        what="40/s; in the middle each backend is replaced by one of another name",
        steps=(at(0, RUSH), *(at(30 + 8 * n, do.replace(f"api-{n}", f"api-{n}-new")) for n in (1, 2, 3, 4))),
        allowed=(warning("ProducerSilent"),),
        after=60,
    ),
)

SHOP = (
    Scenario(
        name="payment-20",
        what="payment fails 80 %, 20 s",
        steps=(
            at(0, RUSH),
            fault(30, do.turn(payment_failing=0.8)),
            recovery(50, do.turn(payment_failing=0)),
        ),
        pages=(critical("OrderFaultRateHigh"),),
    ),
    Scenario(
        name="payment-60",
        what="payment fails 80 %, 60 s",
        steps=(
            at(0, RUSH),
            fault(30, do.turn(payment_failing=0.8)),
            recovery(90, do.turn(payment_failing=0)),
        ),
        pages=(critical("OrderFaultRateHigh"),),
    ),
    Scenario(
        name="latency",
        what="latency doubles (p99 0.7 to 1.4 s), 60 s",
        steps=(
            at(0, RUSH),
            fault(30, do.turn(service_seconds=0.5)),
            recovery(90, do.turn(service_seconds=0.25)),
        ),
        pages=(warning("OrderLatencyHigh"),),
    ),
    Scenario(
        name="bimodal",
        what="one order in ten takes 4 s, 60 s; none of them is heard of before",
        steps=(at(0, RUSH), fault(30, do.turn(slow=0.1)), recovery(90, do.turn(slow=0.0))),
        pages=(Page("OrderLatencyHigh", within=20.0),),
    ),
    Scenario(
        name="workers",
        what="workers 64 to 6, 60 s: the queue grows to 1,000",
        steps=(at(0, RUSH), fault(30, do.turn(workers=6)), recovery(90, do.turn(workers=400))),
        pages=(critical("OrderLatencyHigh"), warning("QueueBacklogGrowing")),
    ),
    Scenario(
        name="no-workers",
        what="no worker is left for 40 s: orders are accepted, none is decided",
        steps=(at(0, RUSH), fault(30, do.turn(workers=0)), recovery(70, do.turn(workers=400))),
        pages=(critical("ThroughputCollapsed"),),
        # What waited so long is slow once it is decided.
        allowed=(warning("QueueBacklogGrowing"), critical("OrderLatencyHigh")),
    ),
    Scenario(
        name="oversold",
        what="a product oversold by 3, corrected 40 s later",
        steps=(at(0, RUSH), fault(30, do.stock("sku-8", -3)), recovery(70, do.stock("sku-8", 500))),
        pages=(critical("Oversold"),),
    ),
    Scenario(
        name="one-dies",
        what="one backend of four dies silently for 45 s, the others take over",
        steps=(at(0, RUSH), fault(30, do.die("api-1")), recovery(75, do.revive())),
        pages=(warning("ProducerSilent"),),
    ),
    Scenario(
        name="two-die",
        what="two die for 45 s, half of the orders are lost",
        steps=(
            at(0, do.turn(rate=40, others_take_over=False)),
            fault(30, do.die("api-1", "api-2")),
            recovery(75, do.revive()),
        ),
        pages=(critical("HalfOfProducersSilent"),),
        allowed=(warning("ProducerSilent"),),
    ),
    Scenario(
        name="three-die",
        what="three die for 45 s, 75 % of the orders are lost",
        steps=(
            at(0, do.turn(rate=40, others_take_over=False)),
            fault(30, do.die("api-1", "api-2", "api-3")),
            recovery(75, do.revive()),
        ),
        pages=(critical("HalfOfProducersSilent"),),
        allowed=(warning("ProducerSilent"),),
    ),
    Scenario(
        name="all-die",
        what="all four die for 45 s",
        steps=(at(0, RUSH), fault(30, do.die(*ALL)), recovery(75, do.revive())),
        pages=(critical("ThroughputCollapsed|HalfOfProducersSilent"),),
        allowed=(warning("ProducerSilent"),),
    ),
    Scenario(
        name="crash-loop",
        what="one backend of four dies 3 s after each start, for 45 s; what it would have sold is lost",
        steps=(
            at(0, do.turn(rate=40, others_take_over=False)),
            *(fault(30 + 6 * n, do.die("api-2")) for n in range(8)),
            *(recovery(33 + 6 * n, do.revive()) for n in range(8)),
        ),
        pages=(warning("ProducerDoubted", resolves=False),),
    ),
    Scenario(
        name="loss",
        what="one producer loses 2 %, 60 s",
        steps=(
            at(0, do.turn(rate=40, losers=("api-2",))),
            fault(30, do.turn(lost=0.02)),
            recovery(90, do.turn(lost=0.0)),
        ),
        pages=(warning("CompletenessBelowOne", resolves=False),),
    ),
    Scenario(
        name="loss-again",
        what="one event is lost, 50 s later all four lose 2 % for 60 s",
        steps=(
            at(0, do.turn(rate=40, losers=ALL)),
            at(5, do.lose_one()),
            fault(55, do.turn(lost=0.02)),
            recovery(115, do.turn(lost=0.0)),
        ),
        pages=(Page("CompletenessBelowOne", "warning|critical", 45.0, resolves=False),),
        allowed=(warning("CompletenessBelowOne", resolves=False),),
    ),
    Scenario(
        name="twice",
        what="the same events over both transports, 60 s",
        steps=(
            at(0, RUSH),
            fault(30, do.turn(transports=(STREAM, PUBSUB))),
            recovery(90, do.turn(transports=(STREAM,))),
        ),
        pages=(critical("EventsCountedTwice"),),
    ),
)

INFRASTRUCTURE = (
    Scenario(
        name="failover",
        what="Redis master kill -9, Sentinel; up after 45 s",
        steps=(at(0, RUSH), fault(30, do.kill(PRIMARY)), recovery(75, do.start(PRIMARY))),
        pages=(SERVER_DOWN,),
        sentinels=True,
        transport_loses=True,
    ),
    Scenario(
        name="failover-frozen",
        what="Redis master frozen 10 s, Sentinel; the publisher stays with it until it is demoted",
        steps=(at(0, RUSH), fault(30, do.freeze(PRIMARY)), recovery(40, do.thaw(PRIMARY))),
        pages=(Page("CompletenessBelowOne", "warning|critical", 60.0, resolves=False),),
        allowed=(*MISSED, SERVER_DOWN, critical("ThroughputCollapsed")),
        sentinels=True,
        transport_loses=True,
        publisher_stays=True,
        after=70,
    ),
    Scenario(
        name="frozen-10",
        what="Redis frozen 10 s, no Sentinel",
        steps=(at(0, RUSH), fault(30, do.freeze(PRIMARY)), recovery(40, do.thaw(PRIMARY))),
        allowed=(critical("RedisDown"),),
    ),
    Scenario(
        name="frozen-10-pubsub",
        what="Redis frozen 10 s, pub/sub",
        steps=(at(0, RUSH), fault(30, do.freeze(PRIMARY)), recovery(40, do.thaw(PRIMARY))),
        allowed=(critical("RedisDown"), *MISSED),
        transports=(PUBSUB,),
        transport_loses=True,
    ),
    Scenario(
        name="frozen-30",
        what="Redis frozen 30 s",
        steps=(at(0, RUSH), fault(30, do.freeze(PRIMARY)), recovery(60, do.thaw(PRIMARY))),
        pages=(critical("RedisDown"),),
    ),
    Scenario(
        name="redis-killed",
        what="Redis kill -9, up after 40 s",
        steps=(at(0, RUSH), fault(30, do.kill(PRIMARY)), recovery(70, do.start(PRIMARY))),
        pages=(critical("RedisDown"),),
    ),
    Scenario(
        name="redis-empty",
        what="Redis kill -9, at once another one in its place, which is empty",
        steps=(at(0, RUSH), fault(30, do.replace_by_empty(PRIMARY)), recovery(31, do.turn())),
        pages=(warning("CommitsRolledBack", resolves=False),),
        allowed=MISSED,
        transport_loses=True,
    ),
    Scenario(
        name="no-replica",
        what="replica killed, 30 s later the master, 40 s",
        steps=(
            at(0, RUSH),
            at(20, do.kill("redis-replica")),
            fault(50, do.kill(PRIMARY)),
            recovery(90, do.start(PRIMARY)),
            at(90, do.start("redis-replica")),
        ),
        pages=(critical("RedisDown"),),
        allowed=(SERVER_DOWN,),
        sentinels=True,
    ),
    Scenario(
        name="disk-full",
        what="disk of the AOF full, 60 s",
        steps=(at(0, RUSH), fault(30, do.fill_disk()), recovery(90, do.free_disk())),
        pages=(critical("RedisRefusesWrites"),),
    ),
    Scenario(
        name="memory-full",
        what="the memory of Redis full, 45 s: it refuses to write",
        steps=(
            at(0, RUSH),
            fault(30, do.configure("maxmemory", "2mb")),
            recovery(75, do.configure("maxmemory", "256mb")),
        ),
        pages=(critical("RedisMemoryHigh|RedisRefusesWrites"),),
    ),
    Scenario(
        name="sidecar-35",
        what="sidecar kill -9, up after 35 s (stream)",
        steps=(at(0, RUSH), fault(30, do.kill(SIDECAR)), recovery(65, do.start(SIDECAR))),
        pages=(critical("SidecarDown|NoSidecarCounting"),),
    ),
    Scenario(
        name="sidecar-5",
        what="sidecar kill -9, up after 5 s",
        steps=(at(0, RUSH), fault(30, do.kill(SIDECAR)), recovery(35, do.start(SIDECAR))),
    ),
    Scenario(
        name="sidecar-15-pubsub",
        what="sidecar kill -9, up after 15 s, pub/sub",
        steps=(at(0, RUSH), fault(30, do.kill(SIDECAR)), recovery(45, do.start(SIDECAR))),
        pages=(Page("CompletenessBelowOne", "warning|critical", 60.0, resolves=False),),
        allowed=(critical("SidecarDown|NoSidecarCounting"), *MISSED),
        transports=(PUBSUB,),
        transport_loses=True,
    ),
    Scenario(
        name="standby-killed",
        what="active sidecar kill -9, a standby takes over",
        steps=(at(0, RUSH), fault(30, do.kill(SIDECAR)), recovery(65, do.start(SIDECAR))),
        allowed=(warning("SidecarDown"),),
        standby=True,
    ),
    Scenario(
        name="standby-frozen",
        what="active sidecar frozen 20 s, a standby takes over",
        steps=(at(0, RUSH), fault(30, do.freeze(SIDECAR)), recovery(50, do.thaw(SIDECAR))),
        allowed=(warning("SidecarDown"),),
        standby=True,
    ),
    Scenario(
        name="standby-stopped",
        what="active sidecar stopped cleanly, a standby takes over; started again 35 s later",
        steps=(at(0, RUSH), fault(30, do.stop(SIDECAR)), recovery(65, do.start(SIDECAR))),
        allowed=(warning("SidecarDown"),),
        standby=True,
    ),
    Scenario(
        name="prometheus-15",
        what="Prometheus killed, up after 15 s",
        steps=(at(0, RUSH), fault(30, do.kill("prometheus")), recovery(45, do.start("prometheus"))),
    ),
)

SECTIONS = {"healthy": HEALTHY, "shop": SHOP, "infrastructure": INFRASTRUCTURE}
SCENARIOS = {scenario.name: scenario for section in SECTIONS.values() for scenario in section}
# For .ci/run: of each kind some that last no longer than others.
SHORT = ("unsold", "payment-20", "two-die", "frozen-30", "sidecar-35", "standby-stopped")
assert not set(SHORT) - set(SCENARIOS)
