"""Random bytes from a stock: what would be fatal is a byte that is handed out twice."""

import os
from concurrent.futures import ThreadPoolExecutor

from gateway.store.randomness import random_bytes, random_id


def test_no_byte_is_handed_out_twice() -> None:
    """Not within a thread, not across the end of a stock, not to two threads."""

    def some(_: int) -> list[bytes]:
        return [random_bytes(12) for _ in range(1000)]

    with ThreadPoolExecutor(4) as threads:
        taken = [one for many in threads.map(some, range(8)) for one in many]
    assert len(set(taken)) == len(taken) == 8000
    assert {len(one) for one in taken} == {12}


def test_more_than_a_stock_is_had_at_once() -> None:
    """The size that is asked for is the size that comes, whatever is left."""
    random_bytes(100)
    assert [len(random_bytes(count)) for count in (1, 4090, 5000, 0, 32)] == [1, 4090, 5000, 0, 32]


def test_a_forked_child_has_other_bytes() -> None:
    """A process that is forked does not hand out what its parent still has in stock."""
    random_bytes(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, random_bytes(32))
        os._exit(0)
    os.waitpid(child, 0)
    mine, others = random_bytes(32), os.read(reading, 32)
    os.close(reading)
    os.close(writing)
    assert len(others) == 32
    assert mine != others


def test_an_id_says_128_bits_without_padding() -> None:
    """As RFC 7519 wants a `jti`: nobody guesses one."""
    assert {len(random_id()) for _ in range(100)} == {22}
    assert len({random_id() for _ in range(100)}) == 100
