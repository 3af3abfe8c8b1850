from hairtrigger.sandbox.protocol.frames import Frame, Kind
from hairtrigger.sandbox.worker.line import Line


def frame(poll: int, body: bytes = b"") -> Frame:
    return Frame(Kind.RESPONSE, poll, body=body)


def order(line: Line, costs: dict[str, float]) -> list[int]:
    """Do all the work in the line, and return its polls."""
    polls = []
    while line:
        tenant, next_ = line.next()
        line.charge(tenant, costs[tenant])
        polls.append(next_.poll)
    return polls


def test_a_tenant_whose_code_takes_long_waits_for_those_whose_code_does_not() -> None:
    line = Line()
    for poll in range(5):
        line.add("costly", frame(poll))
    for poll in range(10, 15):
        line.add("quick", frame(poll))

    assert order(line, {"costly": 0.25, "quick": 0.001}) == [0, 10, 11, 12, 13, 14, 1, 2, 3, 4]


def test_the_frames_of_a_tenant_keep_their_order_and_tenants_that_cost_the_same_take_turns() -> None:
    line = Line()
    for poll in range(6):
        line.add("ab"[poll // 3], frame(poll))

    assert order(line, {"a": 1, "b": 1}) == [0, 3, 1, 4, 2, 5]


def test_a_tenant_gets_no_credit_for_the_time_before_it_came() -> None:
    line = Line()
    for _ in range(100):
        line.add("early", frame(1))
    order(line, {"early": 1})
    for poll in range(3):
        line.add("late", frame(10 + poll))
        line.add("early", frame(20 + poll))

    assert order(line, {"early": 1, "late": 1}) == [10, 11, 20, 12, 21, 22]


def test_the_frames_of_a_poll_that_was_given_up_are_dropped() -> None:
    line = Line()
    line.add("a", frame(1, b"123"))
    line.add("a", frame(2, b"12"))
    line.add("b", frame(3, b"1"))
    line.drop("a", 1)
    line.drop("b", 3)
    line.drop("c", 4)

    assert line.bytes == 2
    assert order(line, {"a": 1}) == [2]
    assert line.bytes == 0
