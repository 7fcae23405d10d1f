"""A producer in a Jupyter notebook: cells that a real kernel (ipykernel) runs one after the other, in one loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pytest

from aioproducer.testing import EmbeddedCluster

SECONDS: Final = 40

pytestmark = [
    pytest.mark.slow,
    # Of Jupyter's own: what it does with paths, loops and sockets is not what is tested.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

IN_DIFFERENT_CELLS: Final = [
    """
import asyncio
from aioproducer import Producer
tasks = len(asyncio.all_tasks())
producer = Producer(bootstrap_servers={servers!r})
await producer.start()
""",
    """
metadata = await producer.send("orders", b"1", key=b"k")
print(metadata.topic, metadata.offset)
""",
    """
done = []
task = asyncio.create_task(producer.send("orders", b"2", key=b"k"))
task.add_done_callback(lambda task: done.append(task.result().offset))
""",
    """
deliveries = [await producer.submit("orders", b"%d" % number, key=b"k") for number in range(3, 6)]
""",
    """
await task
await asyncio.sleep(0)  # the loop calls back in its next pass
print(done, [(await delivery).offset for delivery in deliveries])
""",
    """
await producer.close()
print(tasks, len(asyncio.all_tasks()))
""",
]

A_BLOCK_IN_ONE_CELL: Final = [
    """
async with Producer(bootstrap_servers={servers!r}) as another:
    print((await another.send("bills", b"1")).offset)
""",
    """
another.submit_nowait("bills", b"2")
""",
]


@dataclass(frozen=True, slots=True)
class Notebook:
    """What each cell has printed, or the error that it ended with, and what is in the logs."""

    printed: list[str]
    orders: list[bytes | None]
    bills: list[bytes | None]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    """All cells run by one kernel: it takes three seconds to start."""
    # Here and not at the top: it takes a second, which only these tests should cost.
    import nbclient
    import nbformat

    make: Any = nbformat.v4
    with EmbeddedCluster.running() as kafka:
        texts = [
            cell.replace("{servers!r}", repr(kafka.bootstrap_servers))
            for cell in (*IN_DIFFERENT_CELLS, *A_BLOCK_IN_ONE_CELL)
        ]
        filled = make.new_notebook(cells=[make.new_code_cell(text) for text in texts])
        resources = {"metadata": {"path": tmp_path_factory.mktemp("notebook")}}
        client: Any = nbclient.NotebookClient(
            filled, timeout=SECONDS, kernel_name="python3", allow_errors=True, resources=resources
        )
        client.execute()
        logs = [[record.value for record in kafka.records(topic)] for topic in ("orders", "bills")]
    return Notebook([_printed(cell.outputs) for cell in filled.cells], *logs)


def _printed(outputs: list[Any]) -> str:
    return "".join(each.get("text") or f"{each.get('ename')}: {each.get('evalue')}" for each in outputs).strip()


def test_start_send_and_close_in_different_cells(notebook: Notebook) -> None:
    assert notebook.printed[:5] == ["", "orders 0", "", "", "[1] [2, 3, 4]"]
    assert notebook.orders == [b"%d" % number for number in range(1, 6)]


def test_closing_leaves_no_task_in_the_kernels_loop(notebook: Notebook) -> None:
    before, after = notebook.printed[5].split()
    assert before == after


def test_a_block_in_one_cell_and_a_call_after_it_in_the_next(notebook: Notebook) -> None:
    assert notebook.printed[6] == "0"
    assert notebook.printed[7].startswith("ProducerClosedError: ")
    assert "it is closed; start() makes it usable again" in notebook.printed[7]
    assert notebook.bills == [b"1"]
