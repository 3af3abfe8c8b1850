"""The scenarios: the faults that strike the service, and what must be true afterwards."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults import faults
from tests.faults.clock import JumpingClock
from tests.faults.database import working_tracer
from tests.faults.disk import must_be_limitable, small_disk
from tests.faults.ledger import Verdict
from tests.faults.proxy import Weather
from tests.faults.world import UNDER_WAY, Settings, World, external, running

MANY = 4000  # events between two faults


@dataclass(frozen=True)
class Plan:
    """The length of a run: the number of rounds of faults, and the number of events before each fault."""

    seed: int
    rounds: int = 2
    events: int = MANY
    per_second: float = 400
    kinds: int = 10
    """The most kinds of faults in a round. The dice choose which."""
    lease: timedelta = timedelta(seconds=30)
    """The lease for the work of a service that is killed or loses its database, in scenarios with a single service."""

    @property
    def repeats(self) -> float | None:
        """The share of attempts that may be repeated if the process that makes them is killed.

        A kill repeats what is under way, however few events came before it. If there were few, that may be any share,
        so then there is no limit.
        """
        return 0.005 if self.events >= MANY else None


Scenario = Callable[[Plan], Coroutine[None, None, Verdict]]


async def killed(plan: Plan) -> Verdict:
    """Kill each process of a service with an embedded database, and all of its processes at once."""
    kinds = (
        faults.service_killed,
        faults.postmaster_killed,
        faults.server_process_killed,
        faults.sandbox_worker_killed,
        faults.everything_killed,
    )
    async with running(Settings(plan.seed, per_second=plan.per_second, lease=plan.lease)) as world:
        async with world.load():
            await _struck(world, plan, kinds)
        return _judged(world, repeats=plan.repeats)


async def two_services(plan: Plan) -> Verdict:
    """Restart two services that race for the same triggers of one database: nothing is even repeated."""
    settings = Settings(plan.seed, services=((), ()), per_second=plan.per_second)
    async with external() as database, running(settings, database) as world:
        async with world.load():
            await _struck(world, plan, [faults.service_restarted] * 2)
        return _judged(world, repeats=0)


async def one_of_two_killed(plan: Plan) -> Verdict:
    """Run two services on one database; kill one, or freeze it until the other has taken over."""
    settings = Settings(plan.seed, services=((), ()), per_second=plan.per_second)
    kinds = (faults.service_killed, faults.service_frozen, faults.session_killed, faults.sandbox_worker_killed)
    async with external() as database, running(settings, database) as world:
        async with world.load():
            await _struck(world, plan, kinds)
        return _judged(world, repeats=plan.repeats)


async def roles(plan: Plan) -> Verdict:
    """Run one `api` and two `worker` processes on one database; kill them, and restart them as an update does."""
    services = (("--role", "api"), ("--role", "worker"), ("--role", "worker"))
    settings = Settings(plan.seed, services=services, per_second=plan.per_second)
    kinds = (faults.service_killed, faults.service_restarted, faults.session_killed)
    async with external() as database, running(settings, database) as world:
        async with world.load():
            await _struck(world, plan, kinds)
        return _judged(world, repeats=plan.repeats)


async def database_gone(plan: Plan) -> Verdict:
    """Restart and kill the database under a service that goes on: 503 until the database is back, then within 5 s."""
    kinds = (
        faults.database_restarted,
        faults.database_away,
        faults.postmaster_killed,
        faults.server_process_killed,
        faults.session_killed,
    )
    settings = Settings(plan.seed, per_second=plan.per_second, lease=plan.lease)
    async with external() as database, running(settings, database) as world:
        async with world.load():
            await _struck(world, plan, kinds)
        assert world.services[0].output.count("running at") == 1, "the service ended with its database"
        verdict = _judged(world, repeats=0)
        assert max(verdict.recoveries) <= 5, f"it took {max(verdict.recoveries):.1f} s to recover"
        return verdict


async def every_sync(plan: Plan) -> Verdict:
    """Kill PostgreSQL's processes at their first sync, at their second, and so on."""
    tracer = working_tracer()
    settings = Settings(plan.seed, per_second=plan.per_second)
    async with external() as database, running(settings, database) as world:
        async with world.load():
            for number in range(1, plan.rounds * 8 + 1):
                await world.acknowledged(plan.events // 10)
                await world.strike(faults.process_killed_at_sync(tracer, number))
        return _judged(world, repeats=0)


async def disk_full(plan: Plan) -> Verdict:
    """Fill the database's disk, and then make room again."""
    settings = Settings(plan.seed, per_second=plan.per_second)
    with small_disk(400) as disk:
        async with (
            external(disk, settings={"max_wal_size": "64MB"}) as database,
            running(settings, database) as world,
        ):
            async with world.load():
                await _struck(world, plan, [faults.disk_filled(disk)])
            return _judged(world, repeats=0)


async def disk_filling(plan: Plan) -> Verdict:
    """Fill the disk of an embedded database slowly: the service says so, then takes no new event, and goes on later."""
    settings = Settings(plan.seed, per_second=plan.per_second)
    with small_disk(1500) as disk:
        async with running(settings, disk=disk) as world:
            async with world.load():
                await _struck(world, plan, [faults.disk_filling(disk)])
            output = world.services[0].output
            assert output.count("running at") == 1, "the service ended with its disk"
            said = [output.rfind(one) for one in ("nearly full", "the disk is full", "the disk has room again")]
            assert 0 < said[0] < said[1] < said[2], output[-3000:]
            return _judged(world, repeats=0)


async def quota_reached(plan: Plan) -> Verdict:
    """Forbid the database's files to grow, and then allow it again."""
    settings = Settings(plan.seed, per_second=plan.per_second)
    async with external() as database:
        must_be_limitable(database.pid)
        async with running(settings, database) as world:
            async with world.load():
                await _struck(world, plan, [faults.quota_reached])
            return _judged(world, repeats=0)


async def clock_jumping(plan: Plan) -> Verdict:
    """Let the machine's clock jump ahead and back: each planned second still fires once."""
    with TemporaryDirectory(prefix="hairtrigger-clock-") as made:
        Path(made).chmod(0o755)
        clock = JumpingClock(Path(made, "offset"))
        clock.jump(timedelta())
        environment = clock.environment()
        under = ("env", *(f"{name}={value}" for name, value in environment.items()))
        settings = Settings(plan.seed, environment=environment, per_second=plan.per_second, polls=False)
        async with external() as database:
            await database.stop()  # the start has put the programs where the server's user may run them
            database.under = under
            await database.restart()
            async with running(settings, database) as world:
                world.now = clock.now
                async with world.load():
                    for _ in range(plan.rounds):
                        ahead = timedelta(seconds=world.dice.randint(60, 600))
                        back = timedelta(seconds=world.dice.randint(2, 600))
                        jumps = [faults.clock_jumped(clock, by) for by in (ahead, -back, back)]
                        await _struck(world, plan, jumps, rounds=1)
                return _judged(world, repeats=0)


async def bad_network(plan: Plan) -> Verdict:
    """Make the network to target and provider slow, cut, reset or silent: a failed attempt is retried under its id."""
    patience = timedelta(seconds=1)
    settings = Settings(plan.seed, per_second=plan.per_second / 4, weather=True, target_timeout=patience)
    kinds = [faults.bad_weather(weather) for weather in Weather if weather is not Weather.FINE]
    async with running(settings) as world:
        async with world.load():
            await _struck(world, plan, kinds)
        verdict = _judged(world, repeats=0)
        assert verdict.retried, "the network's faults were not felt"
        return verdict


SCENARIOS: tuple[Scenario, ...] = (
    killed,
    two_services,
    one_of_two_killed,
    roles,
    database_gone,
    every_sync,
    disk_full,
    disk_filling,
    quota_reached,
    clock_jumping,
    bad_network,
)


async def _struck(world: World, plan: Plan, kinds: Sequence[faults.Fault], rounds: int | None = None) -> None:
    """Strike with each fault once a round, in an order of the dice, with `plan.events` events before each."""
    for _ in range(plan.rounds if rounds is None else rounds):
        for fault in world.dice.sample(kinds, min(len(kinds), plan.kinds)):
            await world.acknowledged(plan.events)
            await world.pause(0, 1)
            await world.strike(fault)
    await world.acknowledged(plan.events)


def _judged(world: World, *, repeats: float | None) -> Verdict:
    world.check_schedule()
    verdict = world.verdict()
    verdict.check(under_way=UNDER_WAY, repeats=repeats)
    if repeats is None:
        print(
            f"repeats are judged by the {UNDER_WAY} that can be on their way at a fault: for a share they are too few"
        )
    return verdict
