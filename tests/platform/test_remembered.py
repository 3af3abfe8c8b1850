from hairtrigger.platform.remembered import Remembered


def test_what_was_asked_for_last_is_kept() -> None:
    remembered: Remembered[str, int] = Remembered(most=2, most_bytes=1000)
    for number, key in enumerate("ab"):
        remembered.keep(key, number, 10)

    assert remembered.get("a") == 0
    remembered.keep("c", 2, 10)

    assert (remembered.get("a"), remembered.get("b"), remembered.get("c")) == (0, None, 2)
    assert remembered.bytes == 20


def test_there_are_never_more_bytes_than_may_be() -> None:
    remembered: Remembered[int, str] = Remembered(most=1_000_000, most_bytes=100_000)
    for number in range(10_000):
        remembered.keep(number, "x", 1 + number % 1000)
        assert remembered.bytes <= 100_000
        assert len(remembered) <= 100_000

    assert remembered.get(9_999) == "x"


def test_one_large_value_does_not_drive_out_the_others() -> None:
    remembered: Remembered[str, int] = Remembered(most=100, most_bytes=1000)
    remembered.keep("small", 1, 10)
    remembered.keep("large", 2, 11)

    assert (remembered.get("small"), remembered.get("large")) == (1, None)


def test_what_is_kept_anew_or_forgotten_takes_no_room_any_more() -> None:
    remembered: Remembered[str, int] = Remembered(most=100, most_bytes=1000)
    remembered.keep("a", 1, 10)
    remembered.keep("a", 2, 5)
    remembered.keep("b", 3, 5)
    remembered.forget("b")
    remembered.forget("never there")

    assert (remembered.get("a"), remembered.get("b"), remembered.bytes) == (2, None, 5)


def test_an_owner_with_many_values_drives_out_its_own_and_not_those_of_another() -> None:
    remembered: Remembered[str, int] = Remembered(most=10, most_bytes=1000)
    for number in range(3):
        remembered.keep(f"few {number}", number, 1, "few")
    for number in range(100):
        remembered.keep(f"many {number}", number, 1, "many")

    assert [remembered.get(f"many {number}") for number in range(93, 100)] == list(range(93, 100))
    assert [remembered.get(f"few {number}") for number in range(3)] == [0, 1, 2]
    for number in range(3, 5):
        remembered.keep(f"few {number}", number, 1, "few")
    assert [remembered.get(f"few {number}") for number in range(3)] == [0, 1, 2]
    assert len(remembered) == 10


def test_an_owner_with_large_values_drives_out_its_own() -> None:
    remembered: Remembered[str, int] = Remembered(most=1000, most_bytes=1000)
    remembered.keep("few", 1, 10, "few")
    for number in range(200):
        remembered.keep(f"many {number}", number, 10, "many")

    assert remembered.get("few") == 1
    assert remembered.bytes == 1000
