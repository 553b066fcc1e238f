"""`sinergi demo`: two invented agencies exchange messages through a real gateway, in processes of their own, over HTTP.

Every scene checks what it shows; one that finds a difference ends the play with exit code 1. All that is made lies in
one folder, and every process that was started is stopped.
"""

import json
import sys
from pathlib import Path

__all__ = ["run"]


def run(directory: Path, keep: bool, *, as_json: bool = False) -> int:
    """Plays it in `directory`, which is made, or emptied if an earlier demo made it. 0 when every scene went as told.

    With `keep` everything stays running until Ctrl-C or SIGTERM. With `as_json` the story goes to stderr and the result
    to stdout. Raises OperatorError for a folder that is somebody else's.
    """
    from gateway.demo.folder import claimed
    from gateway.demo.play import Play
    from gateway.demo.presentation import Screen
    from gateway.demo.processes import clean_surroundings, stoppable

    screen = Screen(aside=as_json)
    with stoppable(), clean_surroundings(), claimed(directory) as folder:
        play = Play(folder, screen)
        try:
            play.perform(keep=keep)
        finally:
            play.end()
    play.close()
    if as_json:
        json.dump(play.as_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    return 0 if play.ok else 1
