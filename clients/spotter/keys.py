"""Every keyboard shortcut, once: the menus and the help page are made of this table."""

from typing import NamedTuple


class Key(NamedTuple):
    """One shortcut."""

    name: str
    """By which the program finds it."""
    keys: str
    """As Qt writes it."""
    does: str
    where: str

    @property
    def alone(self) -> bool:
        """Whether it is a single key, which works only while the pictures have the keyboard."""
        return "+" not in self.keys.rstrip("+") and not self.keys.startswith("F")


# fmt: off
KEYS = (
    Key("live",          "F2",           "Go back to live",                              "Pictures"),
    Key("play",          "Space",        "Play or pause",                                "Pictures"),
    Key("step_forward",  ".",            "Step one picture forward",                     "Pictures"),
    Key("step_back",     ",",            "Step one picture back",                        "Pictures"),
    Key("faster",        "+",            "Faster",                                       "Pictures"),
    Key("slower",        "-",            "Slower",                                       "Pictures"),
    Key("reverse",       "R",            "Turn the direction",                           "Pictures"),
    Key("back_30",       "Ctrl+Left",    "Half a minute back",                           "Pictures"),
    Key("ahead_30",      "Ctrl+Right",   "Half a minute ahead",                          "Pictures"),
    Key("back_300",      "Ctrl+Shift+Left",  "Five minutes back",                        "Pictures"),
    Key("ahead_300",     "Ctrl+Shift+Right", "Five minutes ahead",                       "Pictures"),
    Key("go_to",         "Ctrl+G",       "Go to a moment",                               "Pictures"),
    Key("snapshot",      "Ctrl+S",       "Save a picture of the chosen cell",            "Pictures"),
    Key("export",        "Ctrl+E",       "Save a clip of the chosen cell",               "Pictures"),
    Key("enlarge",       "Return",       "Enlarge the chosen cell, or show all again",   "Cells"),
    Key("empty",         "Delete",       "Empty the chosen cell",                        "Cells"),
    Key("grid_1",        "Ctrl+1",       "1 cell",                                       "Cells"),
    Key("grid_4",        "Ctrl+2",       "2 x 2 cells",                                  "Cells"),
    Key("grid_9",        "Ctrl+3",       "3 x 3 cells",                                  "Cells"),
    Key("grid_16",       "Ctrl+4",       "4 x 4 cells",                                  "Cells"),
    Key("new_tab",       "Ctrl+T",       "New tab",                                      "Windows"),
    Key("close_tab",     "Ctrl+W",       "Close the tab",                                "Windows"),
    Key("next_tab",      "Ctrl+Tab",     "Next tab",                                     "Windows"),
    Key("full_screen",   "F11",          "Full screen, or back",                         "Windows"),
    Key("tree",          "F6",           "To the list of cameras",                       "Windows"),
    Key("help",          "F1",           "This page",                                    "Windows"),
    Key("alarms",        "F5",           "To the alarm list",                            "Alarms"),
    Key("acknowledge",   "Ctrl+K",       "Acknowledge the chosen alarm",                 "Alarms"),
    Key("open_alarm",    "Ctrl+O",       "Show the chosen alarm's cameras and its moment", "Alarms"),
    Key("mute",          "Ctrl+M",       "Sound on or off",                              "Alarms"),
)
# fmt: on


def key(name: str) -> Key:
    """One of them; raises `KeyError` for a name that is not in the table."""
    return _BY_NAME[name]


_BY_NAME = {each.name: each for each in KEYS}
