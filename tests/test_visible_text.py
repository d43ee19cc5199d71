"""No text of anyone's moves the cursor or hides."""

from kdgov.visible_text import visible


def test_what_could_move_a_cursor_or_turn_the_text_is_shown_as_an_escape():
    assert visible("a\x1b[2Jb\x07\u202ec\x9bd") == "a\\x1b[2Jb\\x07\\u202ec\\x9bd"
    assert visible("plain\ttext\nÄ") == "plain\ttext\nÄ"
