"""The scenes, in the order in which they are played. A scene is a function that raises when something is not as told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.demo.scenes import (
    attacks,
    capacity,
    evidence,
    exchange,
    passports,
    protection,
    stopping,
    supervision,
    tampering,
)
from gateway.demo.stage import Stage


@dataclass(frozen=True, slots=True)
class Scene:
    title: str
    lead: str
    play: Callable[[Stage], None]


SCENES: Final = (
    Scene(
        "Peringatan dini: an early warning from Pulo Panjang",
        "Imigrasi Banten warns Polda Banten. Who reported it stays with the sender; Polda answers by itself.",
        exchange.early_warning,
    ),
    Scene(
        "Perlintasan: a query about border crossings, without and with a case",
        "Polda Banten asks where a suspect crossed. Without a case, the agreement does not permit that.",
        exchange.border_crossing,
    ),
    Scene(
        "Wilayah hukum: a village that is not Polda Banten's",
        "Teluknaga lies in Kabupaten Tangerang, in Banten province, and belongs to Polda Metro Jaya.",
        exchange.out_of_jurisdiction,
    ),
    Scene(
        "Kejanggalan paspor (ayat 1): who is named, who is asked for",
        "Who is named depends on the case. Whom no case names may be asked about three times in 30 days.",
        passports.fishing,
    ),
    Scene(
        "DPO (ayat 2): a wanted man is found",
        "A hit refers to a notice that stands. Once the police end it, there is nothing to refer to.",
        protection.wanted_person,
    ),
    Scene(
        "Rujukan korban (ayat 2): a name, and the two officers who release it",
        "Under a token first. The name follows when the unit has taken note and two officers have approved.",
        protection.victim_referral,
    ),
    Scene(
        "SPDP dan Korwas (ayat 3): late notice, and help that needs it",
        "The notice comes two days late, and is flagged. Without the notice there is no assistance.",
        supervision.supervision,
    ),
    Scene(
        "Fasilitas dan pelatihan (ayat 4): a classroom and a course",
        "What both have is shared. Nobody's case belongs here, and the rule sees to it.",
        capacity.capacity_building,
    ),
    Scene(
        "Serangan: forged, altered, replayed",
        "Somebody on the network tries. What cannot be proved to come from an agency is not even recorded.",
        attacks.attacks,
    ),
    Scene(
        "Pemeriksaan: an auditor looks for it",
        "With a token of its own, over HTTP and with the command line. That it looked is recorded as well.",
        evidence.auditor,
    ),
    Scene(
        "Buku besar: the ledger, checked from outside",
        "All that is needed is the public URL and the key that was handed over: no account, no database.",
        evidence.ledger,
    ),
    Scene(
        "One byte: a copy of the database is altered",
        "Whoever owns the database can drop its triggers. What was signed before gives the change away.",
        tampering.one_byte,
    ),
    Scene(
        "A stop in the middle of a burst loses nothing",
        "The gateway is told to stop while early warnings come in from six villages, and started again.",
        stopping.graceful_stop,
    ),
)
