import threading
import time

import pytest

from pneumo.data import parallel
from pneumo.data.parallel import in_blocks


def test_results_come_in_order_in_blocks_with_their_items():
    blocks = list(in_blocks(lambda some: [item * 2 for item in some], range(70), 32))
    assert [len(items) for items, _ in blocks] == [32, 32, 6]
    assert [result for _, results in blocks for result in results] == [item * 2 for item in range(70)]


def test_nothing_gives_no_block():
    assert list(in_blocks(list, [], 10)) == []


def test_the_next_block_is_under_way_while_one_is_kept():
    begun = threading.Event()

    def work(some):
        if 10 in some:
            begun.set()
        return list(some)

    for items, _ in in_blocks(work, range(20), 10):
        if 0 in items:
            assert begun.wait(10)


def test_after_an_error_nothing_more_is_begun(monkeypatch):
    monkeypatch.setattr(parallel, "workers", lambda: 1)
    seen = []

    def work(some):
        seen.append(some[0])
        if 0 in some:
            raise ValueError("broken")
        time.sleep(0.5)
        return list(some)

    with pytest.raises(ValueError, match="broken"):
        list(in_blocks(work, range(400), 200))
    assert len(seen) < 5
