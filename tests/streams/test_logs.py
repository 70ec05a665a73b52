"""What is logged was often written by strangers: it ends no line and speaks to no terminal."""

import pytest
import structlog

from streams.logs import escape_strangers, one_line

EVIL = ("\x1b[2J", "a\nlevel=error forged", "\u202eexe.gpj", "\x9b31m", "a\rb", "\u2028", "\x00", "\ud800")


@pytest.mark.parametrize("text", EVIL)
def test_one_line_is_one_and_printable(text):
    assert one_line(text).isprintable() and len(one_line(text).splitlines()) == 1


def test_text_that_is_plain_stays_as_it_is():
    assert one_line("Zürich 東京 … 5 %") == "Zürich 東京 … 5 %"


@pytest.mark.parametrize("text", EVIL[:-1])
def test_a_log_line_is_one_line_whatever_it_tells_of(text, capsys):
    before = structlog.get_config()
    structlog.reset_defaults()
    try:
        escape_strangers()
        escape_strangers()
        structlog.get_logger().warning("record set aside", why=text, place=text)
    finally:
        structlog.configure(**before)
    said = capsys.readouterr().out
    plain = said.rstrip("\n")
    assert len(plain.splitlines()) == 1 and text not in plain
    assert "forged" not in plain or "\\n" in plain
