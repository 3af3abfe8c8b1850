import pytest

from tests.golden import FILES, ROOT


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_what_the_code_makes_now(name: str) -> None:
    assert (ROOT / name).read_text() == FILES[name](), "run ./dev poe docs and read the difference"
