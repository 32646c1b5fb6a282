"""Many visitors at once, those who leave, and those who send a hundred files: nobody waits in vain, nothing is kept."""

import ctypes
import gc
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from asking import (
    INIT,
    SEVEN,
    answers_still,
    ask,
    folder,
    kept,
    raw,
    result,
    sentence,
    upload,
)
from foreign import FOREIGN_METADATA
from hostile_files import saved, siren
from safetensors.torch import save

from app.server import uploads
from app.server.serving import MAX_SESSIONS
from zoo.catalog import EMBEDDED, Zoo


def resident() -> int:
    """MiB of this process, which is the app's."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


@pytest.fixture(scope="module")
def full_sessions(http) -> None:
    """Gradio keeps a copy of its settings for each of the last callers: memory is flat after as many."""
    for _ in range(MAX_SESSIONS):
        result(raw(http, "list_networks", ["mnist-sirens", 1]))


def test_visitors_at_once_get_their_own_answers_while_one_sends_something_huge(http):
    labels = {row["id"]: row["label"] for row in Zoo(EMBEDDED).rows("mnist-sirens", limit=12)}
    alone = {one: result(ask(http, "classify_inr", None, one))[0]["label"] for one in labels}
    huge = upload(http, save({"0.weight": torch.zeros(1000, 2), "1.weight": torch.zeros(1, 1000)}) * 1)
    with ThreadPoolExecutor(8) as visitors:
        racing = [visitors.submit(ask, http, "edit_inr", huge) for _ in range(2)]
        twice = [*labels, *labels]  # every button is pressed twice
        together = list(visitors.map(lambda one: result(ask(http, "classify_inr", None, one)), twice))
        assert [answer[0]["label"] for answer in together] == [alone[one] for one in twice]
        assert all(answer.result().startswith("event: ") for answer in racing)


def test_leaving_visitors_free_their_place_in_the_queue(http, app_url):
    for _ in range(20):
        asked = http.post("gradio_api/call/winning_ticket", json={"data": [None, INIT, 0.95]})
        with http.stream("GET", f"gradio_api/call/winning_ticket/{asked.json()['event_id']}"):
            pass  # gone before the answer
    for _ in range(20):
        http.post(
            "gradio_api/call/edit_inr", json={"data": [None, SEVEN, "dilate", 1.0, *["auto"] * 5]}
        )  # never fetched
    assert answers_still(http)


def test_an_upload_that_is_cut_leaves_no_more_than_an_hour(http):
    """Gradio leaves what had arrived; it is swept as uploads are."""
    before, start = kept(), time.time()
    address = (http.base_url.host, http.base_url.port or 80)
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address[0]}\r\nContent-Length: 9000000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="files"; filename="net.pt"\r\n\r\n'
    )
    for _ in range(5):
        with socket.create_connection(address) as cut:
            cut.sendall(head.encode() + bytes(3_000_000))
    assert answers_still(http)
    uploads.delete_older_than(start + uploads.KEEP_SECONDS)
    assert not kept() - before


def test_the_same_file_a_hundred_times_is_one_file(http, full_sessions):
    data = saved(siren(2, 16, 16, 1))
    first = upload(http, data)
    result(ask(http, "classify_inr", first))
    for number in range(120):
        if number == 20:  # warm
            before, memory = kept(), resident()
        assert upload(http, data) == first
        assert number % 4 or "label" in result(ask(http, "classify_inr", first))[0]
    assert kept() == before and resident() - memory < 10


def test_eighty_files_leave_memory_and_disk_as_they_were(http, full_sessions):
    """Good ones, bad ones and large ones; the disk is given back when their hour is over."""

    def send(number: int) -> None:
        state = {name: tensor + number for name, tensor in siren(2, 32, 32, 1).items()}
        told = None if number % 5 == 0 else FOREIGN_METADATA  # its convention is searched for, or declared
        assert ask(http, "classify_inr", upload(http, save(state, told))).startswith("event: complete")
        if number % 5 == 0:
            sentence(ask(http, "edit_inr", upload(http, save(state)[:-number])))
        if number % 10 == 0:
            wide = {"0.weight": torch.full((4000, 2), float(number)), "1.weight": torch.ones(400, 4000),
                    "2.weight": torch.ones(1, 400)}  # fmt: skip
            assert "probabilities" in ask(http, "classify_inr", upload(http, save(wide)))

    for number in range(1, 21):
        send(number)
    memory = resident()
    for number in range(21, 81):
        send(number)
    assert resident() - memory < 30
    assert kept()
    uploads.delete_older_than(time.time() + 1)
    assert not kept()
    assert "no longer kept" in sentence(ask(http, "edit_inr", {"path": str(folder() / "0" / "net.pt")}))
    assert answers_still(http)
