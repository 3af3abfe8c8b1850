from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.ids import day_of, new_id

_INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(_INSTANTS)
def test_an_id_is_a_version_7_uuid_and_holds_its_day(at: datetime) -> None:
    id_ = new_id(at)
    assert (id_.version, id_.variant) == (7, "specified in RFC 4122")
    assert day_of(id_) == at.date()


@given(_INSTANTS, st.integers(1, 10**12))
def test_ids_sort_by_time(at: datetime, later: int) -> None:
    assert new_id(at) < new_id(at + timedelta(microseconds=later))


@given(st.uuids())
def test_any_uuid_has_some_day(id_: UUID) -> None:
    assert isinstance(day_of(id_), date)


def test_ids_of_one_instant_differ() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert len({new_id(at) for _ in range(1000)}) == 1000
    assert new_id(at) != uuid4()
