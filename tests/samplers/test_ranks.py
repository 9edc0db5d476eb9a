"""Two real processes (gloo, CPU) learn together what one process learns alone."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from graphprune.errors import InputError
from graphprune.samplers.infobatch import InfoBatch

WORKER = textwrap.dedent(
    """
    import sys
    import torch
    import torch.distributed as dist
    from graphprune.registry import create
    from graphprune.samplers.exchange import gather_rows

    rank, folder = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)

    # Unequal parts, and a row that float32 cannot hold.
    rows = torch.tensor([[2**24 + 1], [5, 6]][rank])
    got = gather_rows(rows, torch.full((len(rows), 2), float(rank)))
    assert got[0].tolist() == [2**24 + 1, 5, 6], got
    assert got[1][:, 1].tolist() == [0, 1, 1], got

    result = {}
    for name in ("infobatch", "es", "eswp", "st_prune", "seta"):
        options = {"a": 0, "b": 0} if name == "st_prune" else {}
        sampler = create("sampler", name, n=101, epochs=8, **options).shard(rank, 2)
        lengths, orders = [], []
        for epoch in range(5):
            sampler.set_epoch(epoch)
            lengths.append(len(sampler))
            orders.append(sampler.order.clone())
            for rows in torch.split(sampler.order, sampler.candidate_batch_size(8)):
                losses = (rows * 0.618 + epoch).frac()
                if sampler.selects_in_batch:
                    sampler.choose(rows, losses)
                sampler.update(rows, losses)
        sampler.synchronize()
        result[name] = {"lengths": lengths, "orders": orders, "state": sampler.state_dict()}
    torch.save(result, f"{folder}/{rank}.pt")
    dist.destroy_process_group()
    """
)


def test_two_processes_share_one_history(tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)], stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=120)[1].decode() for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0, 0], errors
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for name, mine in first.items():
        theirs = second[name]
        assert mine["lengths"] == theirs["lengths"]
        for a, b in zip(mine["orders"], theirs["orders"], strict=True):
            assert not torch.isin(a, b).any()
        for key, value in mine["state"].items():
            same = torch.equal(value, theirs["state"][key]) if torch.is_tensor(value) else True
            assert same, (name, key)
    # An epoch of 101 rows leaves one out on two ranks, so that one loss of the last epoch may be stale.
    alone = InfoBatch(101, epochs=8)
    for epoch in range(5):
        alone.set_epoch(epoch)
        alone.update(alone.order, (alone.order * 0.618 + epoch).frac())
    assert (alone.losses == first["infobatch"]["state"]["losses"]).sum() >= 96
    assert len(set(first["infobatch"]["lengths"])) > 1


def test_a_shard_without_processes_is_refused_when_it_must_exchange() -> None:
    sampler = InfoBatch(10, epochs=4).shard(0, 2)
    sampler.update(sampler.order, torch.ones(5))
    with pytest.raises(InputError, match="not initialized"):
        sampler.set_epoch(1)


@pytest.mark.parametrize(("rank", "world"), [(2, 2), (-1, 2), (0, 11)])
def test_impossible_shards_are_refused(rank: int, world: int) -> None:
    with pytest.raises(InputError, match="for 10 samples; use 0 <= rank < world_size"):
        InfoBatch(10, epochs=4).shard(rank, world)
