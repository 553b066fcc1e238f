"""Consistent withholding: when a field stays behind, nothing else in the released message may reveal it.

Decides which further fields have to stay behind, and which places in clear reveal what is withheld. Leaves to `decide.py`
what is withheld in the first place, to `places.py` what a text can say where it stands, and to `lost.py` what of it says
what is lost. A number made from birth date and sex (NIK; NIP and NRP from the birth date) reveals them by its place.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Final

from gateway.message.disclosure import escape, unescape
from gateway.message_types.places import UNKNOWN, Place, Places, Tree, guessed
from gateway.withholding.lost import Lost

_BIRTH: Final = frozenset({"birth_date", "sex"})
_MACHINE_READABLE: Final = frozenset({*_BIRTH, "number", "full_name", "family_name", "given_names"})
# What each of these is made from, by the names of the fields. A machine-readable zone repeats its page (ICAO 9303-4), and
# its number has one digit more than the page's.
_MADE_FROM: Final[Mapping[str, frozenset[str]]] = {
    "nik": _BIRTH,
    "nip": _BIRTH,
    "nrp": frozenset({"birth_date"}),
    "mrz": _MACHINE_READABLE,
    "mrz_lines": _MACHINE_READABLE,
    "mrz_number": frozenset({"number"}),
    "number": frozenset({"mrz_number"}),
}
# The same within one object alone: there are other persons' names beside it.
_PARTS_OF: Final[Mapping[str, frozenset[str]]] = {
    "full_name": frozenset({"family_name", "given_names"}),
    "family_name": frozenset({"full_name"}),
    "given_names": frozenset({"full_name"}),
}
_SOURCES: Final = frozenset[str]().union(*_MADE_FROM.values(), *_PARTS_OF.values())
# Claims that a sender writes itself, and what stands there; the others are words of the agreement, or times.
_WRITTEN: Final[Tree] = {
    "jti": Place.REFERENCE,
    "case": {"type": Place.REFERENCE, "number": Place.REFERENCE},
    "officer": {"id": Place.REFERENCE, "role": Place.REFERENCE},
    "legal_basis": {"*": Place.REFERENCE},
    "in_reply_to": Place.REFERENCE,
    "correlation_id": Place.REFERENCE,
}
# What one field takes along may take another along, and so on: in messages of people two or three times. What needs more
# is made to cost time, and all of it that may stay behind does.
_ROUNDS: Final = 8
# What stays behind, by name, and what of it by name below.
_Branches = dict[str, "_Branches"]
_WHOLE: Final[_Branches] = {}
_NOTHING: Final[_Branches] = {}
_NOWHERE: Final[Tree] = {}
_Holding: Final = (dict, list)


class _Scene:
    """One look at a message: what stays behind in it, and what would go out.

    Of what goes out the texts are kept as they stand, without pointers: those are looked for (`kept`) only where something
    was found in one, for this runs for every message that is thinned out.
    """

    __slots__ = ("gone", "lost", "lost_members", "outgoing", "places", "view")

    def __init__(self, view: dict[str, Any], gone: Collection[str], places: Places) -> None:
        self.view = view
        self.places = places
        self.gone = _branches(gone)
        self.outgoing: list[str] = []
        case = view.get("case")
        self.lost = Lost(places.offices, case["number"] if case else None)
        # What other fields are made from and stays behind: the object's pointer, the names.
        self.lost_members: dict[str, set[str]] = {}
        _texts({name: view[name] for name in _WRITTEN if name in view}, _WRITTEN, self.outgoing)
        self.divide(view["body"], self.gone, places.body, "/body")

    def divide(self, value: Any, gone: "_Branches", tree: Tree, pointer: str) -> None:
        """`gone` is what stays behind below `pointer`: only beside it does a look at the parts tell them apart."""
        outgoing = self.outgoing
        each = tree.get("*")
        is_object = isinstance(value, dict)
        for name, member in _members(value):
            below = gone.get(name)
            place = tree.get(name) if is_object else each
            if below is None:
                if isinstance(member, _Holding):
                    _texts(member, _tree(place), outgoing)
                elif isinstance(member, str) and _may_say(place, name):
                    outgoing.append(member)
                    if name == "birth_date":
                        self.lost.keep_day(member, pointer)
            elif below is _WHOLE:
                self.lose(member, name, pointer, place)
            else:
                self.divide(member, below, _tree(place), _place(pointer, name))

    def lose(self, value: Any, name: str, holder: str, place: Place | Tree | None) -> None:
        """`value`, which is `name` of `holder`, stays behind whole."""
        if isinstance(value, str):
            self.lose_text(value, holder.rpartition("/")[2] if name.isdigit() else name, holder, place)
        elif isinstance(value, dict):
            within, tree = _place(holder, name), _tree(place)
            for inner, member in value.items():
                if isinstance(member, str):
                    self.lose_text(member, inner, within, tree.get(inner))
                elif isinstance(member, _Holding):
                    self.lose(member, inner, within, tree.get(inner))
        elif isinstance(value, list):
            within, each = _place(holder, name), _tree(place).get("*")
            for index, member in enumerate(value):
                self.lose(member, str(index), within, each)

    def lose_text(self, text: str, called: str, holder: str, place: Place | Tree | None) -> None:
        if called in _SOURCES:
            self.lost_members.setdefault(holder, set()).add(called)
        self.lost.add(text, called, holder, place if isinstance(place, Place) else None)

    def rest_of(self, pointer: str) -> tuple[Any, _Branches] | None:
        """The value at a pointer of the body, and what of it stays behind; None where it stays behind itself."""
        value, gone = self.view["body"], self.gone
        steps = pointer.split("/")[2:]
        for step in map(unescape, steps) if "~" in pointer else steps:
            below = gone.get(step)
            if below is _WHOLE:
                return None
            gone = _NOTHING if below is None else below
            value = value[step] if isinstance(value, dict) else value[int(step)]
        return value, gone

    def kept(self) -> Iterator[tuple[str, str, Place]]:
        """Every text that goes out and can say anything, with its pointer and what stands there."""
        for name, tree in _WRITTEN.items():
            if name in self.view:
                yield from _texts_at(f"/{name}", self.view[name], tree)
        for pointer, text, place in _kept(self.view["body"], self.gone, self.places.body, "/body"):
            if _may_say(place, pointer.rpartition("/")[2]):
                yield pointer, text, place


def consistent(
    view: dict[str, Any], disclosable: Collection[str], withheld: Iterable[str], places: Places = UNKNOWN
) -> tuple[frozenset[str], frozenset[str]]:
    """`withheld` with every disclosure that would reveal it, and the places in clear that do.

    Pointers start at the message, `/body/…`. A text reveals through the disclosure that holds it, itself or the nearest
    one above it; where there is none, its own place is told.
    """
    gone = set(withheld)
    if not gone:
        return frozenset(), frozenset()
    for _ in range(_ROUNDS):
        further, in_clear = _look(view, disclosable, gone, places)
        if further <= gone:
            return frozenset(gone), in_clear
        gone |= further
    gone.update(disclosable)
    return frozenset(gone), _look(view, disclosable, gone, places)[1]


def _look(
    view: dict[str, Any], disclosable: Collection[str], gone: set[str], places: Places
) -> tuple[set[str], frozenset[str]]:
    scene = _Scene(view, gone, places)
    further: set[str] = set()
    in_clear: set[str] = set()
    for pointer in (*_made(scene), *scene.lost.told_by(scene.outgoing, scene.kept)):
        cover = _cover(pointer, disclosable)
        (in_clear if cover is None else further).add(cover or pointer)
    return further, frozenset(in_clear)


def _made(scene: _Scene) -> Iterator[str]:
    """What is made from what stays behind, in the same object, below it, or directly above it."""
    above: dict[str, set[str]] = {}
    for holder, lost in scene.lost_members.items():
        above.setdefault(holder.rpartition("/")[0], set()).update(lost)
        here = scene.rest_of(holder)
        if here is None:
            continue
        for pointer, _, _ in _kept(*here, _NOWHERE, holder):
            name = _called(pointer)
            if not lost.isdisjoint(_MADE_FROM.get(name, _NONE)) or (
                pointer == f"{holder}/{name}" and not lost.isdisjoint(_PARTS_OF.get(name, _NONE))
            ):
                yield pointer
    for holder, lost in above.items():
        here = scene.rest_of(holder)
        if here is None or not isinstance(here[0], dict):
            continue
        value, gone = here
        for name in value.keys() & _MADE_FROM.keys():
            if name not in gone and not lost.isdisjoint(_MADE_FROM[name]):
                yield from (pointer for pointer, _, _ in _texts_at(_place(holder, name), value[name], None))


def _called(pointer: str) -> str:
    """The name of the member, of one of several machine-readable lines that of all."""
    holder, _, name = pointer.rpartition("/")
    return holder.rpartition("/")[2] if name.isdigit() else name


_NONE: Final = frozenset[str]()


def _branches(pointers: Collection[str]) -> _Branches:
    """The names below the body that lead to these; whatever lies in one of them is withheld with it."""
    top: _Branches = {}
    for pointer in sorted(pointers):  # what holds another comes before it
        _, _, *above, last = map(unescape, pointer.split("/")) if "~" in pointer else pointer.split("/")
        here = top
        for step in above:
            below = here.setdefault(step, {})
            if below is _WHOLE:
                break
            here = below
        else:
            here.setdefault(last, _WHOLE)
    return top


def _place(holder: str, name: str) -> str:
    return f"{holder}/{escape(name)}"


def _members(value: "dict[str, Any] | list[Any]") -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else zip(map(str, count()), value, strict=False)


def _tree(place: Place | Tree | None) -> Tree:
    return _NOWHERE if place is None or isinstance(place, Place) else place


def _below(tree: Tree, name: str, value: Any) -> Place | Tree | None:
    return tree.get(name if isinstance(value, dict) else "*")


def _kept(value: Any, gone: _Branches, tree: Tree, pointer: str) -> Iterator[tuple[str, str, Place]]:
    for name, member in _members(value):
        below, place = gone.get(name), _below(tree, name, value)
        if below is None:
            yield from _texts_at(_place(pointer, name), member, place)
        elif below is not _WHOLE:
            yield from _kept(member, below, _tree(place), _place(pointer, name))


def _texts_at(pointer: str, value: Any, place: Place | Tree | None) -> Iterator[tuple[str, str, Place]]:
    if isinstance(value, str):
        yield pointer, value, place if isinstance(place, Place) else guessed(pointer.rpartition("/")[2], value)
    elif isinstance(value, _Holding):
        tree = _tree(place)
        for name, member in _members(value):
            yield from _texts_at(_place(pointer, name), member, _below(tree, name, value))


def _texts(value: "dict[str, Any] | list[Any]", tree: Tree, texts: list[str]) -> None:
    """The texts that can say anything."""
    if isinstance(value, dict):
        for name, member in value.items():
            if isinstance(member, str):
                if _may_say(tree.get(name), name):
                    texts.append(member)
            elif isinstance(member, _Holding):
                _texts(member, _tree(tree.get(name)), texts)
        return
    each = tree.get("*")
    for member in value:
        if isinstance(member, str):
            if _may_say(each, ""):
                texts.append(member)
        elif isinstance(member, _Holding):
            _texts(member, _tree(each), texts)


def _may_say(place: Place | Tree | None, name: str) -> bool:
    """No sender chooses the words of a code; a day is one of somebody's birth by the name of its field alone."""
    return (place is not Place.FIXED and place is not Place.DAY) or name == "birth_date"


def _cover(pointer: str, disclosable: Collection[str]) -> str | None:
    while pointer and pointer not in disclosable:
        pointer = pointer.rpartition("/")[0]
    return pointer or None
