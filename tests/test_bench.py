"""The measurements: that what they say of numbers is right, and that they run."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bench import epoch_time, measuring, output, peers
from bench import ops as bench_ops
from bench._peers import PEERS, report
from bench._peers.case import Case, load_data, save_data
from bench._peers.costs import import_seconds, installed_mb
from bench._peers.open_training import OpenTraining
from bench._peers.team import Team, environment
from bench._peers.worker import Worker
from bench.data import word_counts
from bench.measuring import Spread
from bench.networks import dense
from xpnet import Dataset, NeuralNetwork
from xpnet.backends import ops
from xpnet.backends._dispatch import operation

pytestmark = pytest.mark.slow

QUICK = ["products", "xpnet", "torch", "sklearn"]
"""Peers that start within a second or two."""


@pytest.fixture(autouse=True)
def no_mnist(monkeypatch, tmp_path):
    """Random images, and no download, whatever is installed."""
    monkeypatch.setenv("XPNET_DATA", str(tmp_path))


# ---- numbers


def test_ratios_are_taken_pair_by_pair():
    assert measuring.ratios([1, 4, 9], [1, 2, 3]) == Spread(2, 1, 3)
    assert f"{Spread(2, 1, 3):.1f}" == "2.0 [1.0, 3.0]"


def test_geometric_mean_of_a_ratio_and_its_inverse_is_one():
    assert measuring.geometric_mean([0.25, 4.0]) == pytest.approx(1)
    assert measuring.geometric_mean([2.0, 8.0]) == pytest.approx(4)


def peer(seconds, last_loss=0.5, **more):
    losses = [0.9, last_loss]
    row = {"first_s": 1.0, "has_optimizer": True, "seconds": seconds, "call_seconds": seconds}
    return row | {"losses": losses} | more


def row(peers, **more):
    about = {"name": "mnist", "network": "784-10", "batch_size": 60, "optimizer": "sgd"}
    return about | more | {"peers": peers}


def test_a_cell_is_compared_with_the_better_form_of_pytorch():
    quick, slow, ours = peer([2.0, 4.0]), peer([4.0, 4.0]), peer([1.0, 1.0])
    compared = report.compare(row({"torch": slow, "torch-fused": quick, "xpnet": ours}))
    assert compared["reference"] == "torch-fused"
    assert compared["peers"]["xpnet"]["ratio"] == [0.375, 0.25, 0.5]
    assert compared["peers"]["xpnet"]["ratio_to_torch"] == [0.25, 0.25, 0.25]
    assert compared["peers"]["torch"]["ratio"] == [1.5, 1.0, 2.0]


def test_without_pytorch_it_is_compared_with_the_first_that_learns():
    found = report.reference(row({"products": peer([1.0], None), "xpnet": peer([2.0])}))
    assert found == "xpnet"
    assert report.reference(row({"products": peer([1.0], None)})) == "products"


def test_who_comes_to_another_loss_is_marked():
    compared = report.compare(
        row(
            {
                "torch": peer([1.0], 0.100),
                "torch-fused": peer([1.0], 0.101),
                "xpnet": peer([1.0], 0.105),
                "sklearn": peer([1.0], 0.105),
                "jax-step": peer([1.0], 0.1005),
                "keras-jax": peer([1.0], 0.5, has_optimizer=False),
                "products": peer([1.0], None),
            }
        )
    )["peers"]
    unequal = [name for name, peer in compared.items() if report.is_unequal(name, peer)]
    assert unequal == ["xpnet"]  # the median is 0.101; scikit-learn may be 5 % off
    assert compared["xpnet"]["loss_apart"] == pytest.approx(0.105 / 0.101 - 1)
    assert "loss_apart" not in compared["keras-jax"]


def test_of_two_the_loss_is_held_to_that_of_pytorch():
    assert report.usual_loss({"xpnet": 0.2, "torch": 0.1}) == 0.1
    assert report.usual_loss({"xpnet": 0.2}) == 0.2
    assert report.usual_loss({}) is None


def test_means_say_of_how_many_cells_they_are():
    rows = [
        report.compare(row({"torch": peer([2.0]), "xpnet": peer([1.0])})),
        report.compare(row({"torch": peer([8.0])}, batch_size=512)),
    ]
    assert report.mean_ratio(rows, "xpnet") == "0.50 (1 of 2)"
    assert report.mean_ratio(rows, "torch") == "1.00"
    assert report.mean_ratio(rows, "sklearn") == "-"


def test_cells_are_grouped_by_batch_size_and_case():
    wide = [row({}, name="wide", optimizer=name) for name in ("sgd", "adam")]
    rows = [row({}), row({}, batch_size=512), row({}, name="digits"), *wide]
    assert {label: len(part) for label, part in report.groups(rows).items()} == {
        "MNIST": 2, "batch 60": 1, "batch 512": 1, "digits": 1, "wide sgd": 1, "wide adam": 1,
    }  # fmt: skip


def test_each_cell_gets_its_share_of_the_time(monkeypatch):
    cells = [Case("mnist", (784, n, 10), 60, "sgd", "") for n in (10, 1000)]
    monkeypatch.setattr(peers.time, "monotonic", lambda: 100.0)
    budget = peers._Budget(1.0, cells)
    first, second = (budget.until(cell) for cell in cells)
    assert 100 < first < 130
    assert second == pytest.approx(160)  # the last has all that is left


# ---- files


def test_results_are_saved_as_json_and_markdown(tmp_path):
    output.save("name", {"a": [1]}, "| table |", tmp_path)
    assert json.loads((tmp_path / "name.json").read_text()) == {"a": [1]}
    assert (tmp_path / "name.md").read_text() == "| table |\n"


# ---- operations


def test_every_fast_operation_has_a_row():
    bench_ops.check_complete()


def test_a_fast_operation_without_a_row_is_an_error(monkeypatch):
    @operation
    def forgotten(x, out=None):
        return x

    forgotten.register(np.ndarray)(lambda x, out=None: x)
    monkeypatch.setattr(ops, "forgotten", forgotten, raising=False)
    with pytest.raises(RuntimeError, match="forgotten"):
        bench_ops.main([])


@pytest.mark.parametrize("name", bench_ops.ROWS)
def test_the_forms_of_an_operation_do_the_same(name, rng):
    row, size = bench_ops.ROWS[name], bench_ops.Size(5, 400, 3)
    given = row.given(size, bench_ops.Maker(rng, np.dtype("float64")))

    def call(function, with_out=False):
        fresh = tuple(x.copy("K") if isinstance(x, np.ndarray) else x for x in given)
        into = bench_ops.outputs(name, size, fresh) if with_out else {}
        result = function(*fresh, **row.keywords, **into)
        return result if isinstance(result, tuple) else (result,)

    expected = call(bench_ops.definition_of(name))
    versions = bench_ops.fast_version(name, given).values()
    for result in [call(row.plain), *(call(version, with_out=True) for version in versions)]:
        for got, wanted in zip(result, expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-9)
    assert (row.moved is None) != (row.flops is None)
    in_compiled = bench_ops.compiled(name, size, given, threads=1)
    if in_compiled is not None:
        in_compiled(1)
        results = in_compiled.results()
        assert results
        for number, got in results.items():
            # The kernel's error is that of the mean of the samples' losses.
            share = size.batch if name == "softmax_cross_entropy" else 1
            np.testing.assert_allclose(share * got, expected[number], rtol=1e-9)
        in_compiled.close()
    assert versions or in_compiled is not None or find_spec("numba") is None


def test_operations_are_measured(capsys):
    arguments = ["--sizes", "5,4,3", "6,5,4", "--repeats", "2", "--least", "0", "--cube", "8"]
    result = bench_ops.main(arguments)
    assert {row["operation"] for row in result["rows"]} == (
        {name for name, row in bench_ops.ROWS.items() if row.definition is None}
        if find_spec("numba") is None
        else set(bench_ops.ROWS)
    )
    for row in result["rows"]:
        assert 0 < row["fast_s"][1] <= row["fast_s"][0] <= row["fast_s"][2]
        assert row["rate"] > 0
        assert row["share_of_limit"][0] > 0
    assert "| adam " in capsys.readouterr().out


def test_rates_are_of_what_has_to_be_moved():
    size = bench_ops.Size(60, 784, 89)
    assert size.parameters == 785 * 89
    assert bench_ops.ROWS["adam"].moved(size) == 7 * size.parameters
    assert bench_ops.ROWS["sgd"].moved(size) == 5 * size.parameters
    assert bench_ops.ROWS["affine"].flops(size) == 2 * 60 * 784 * 89


# ---- epochs and peers


def test_epoch_times_are_measured(monkeypatch, capsys):
    arguments = "--samples 100 --sizes 784,4,10 --batch-sizes 60 --optimizers sgd --repeats 1"
    monkeypatch.setattr(sys, "argv", ["epoch_time", *arguments.split()])
    epoch_time.main()
    assert "| 784-4-10 " in capsys.readouterr().out


def losses_of(trained):
    """Return the losses of the peers that learn, with the optimizer asked for."""
    return {
        name: [peer["first_loss"], *peer["losses"]]
        for name, peer in trained.items()
        if name != "products" and peer["has_optimizer"]
    }


def test_peers_are_measured_and_do_the_same(capsys):
    names = [name for name in QUICK if not PEERS[name].missing()]
    arguments = (
        f"--cases mnist --peers {','.join(names)} --sizes 784,8,10 --batch-sizes 60,512 "
        "--samples 200 --rounds 2 --threads 1 --no-costs"
    )
    result = peers.main(arguments.split())
    assert [row["batch_size"] for row in result["rows"]] == [60, 60, 200, 200]
    for row in result["rows"]:
        assert list(row["peers"]) == names
        assert all(len(peer["seconds"]) == 2 for peer in row["peers"].values())
        losses = losses_of(row["peers"])
        # With all samples in one batch, their order does not matter.
        tolerance = 0.05 if row["batch_size"] == 60 else 1e-4
        for name, found in losses.items():
            np.testing.assert_allclose(found, losses["xpnet"], rtol=tolerance, err_msg=name)
    assert not result["left_out"]
    assert set(result["peak_mb"]["mnist"]) == set(names)
    assert f"Repeat it with `python -m bench.peers {arguments}`" in capsys.readouterr().out
    assert "| batch 200 " in report.compact(result)


def test_estimators_are_measured_and_do_the_same(capsys):
    names = [name for name, peer in PEERS.items() if "fit" in peer.tasks and not peer.missing()]
    assert len(names) > 1
    options = "--cases fit-digits,predict --samples 150 --rounds 1 --threads 1 --no-costs"
    result = peers.main(options.split())
    fitted, one, all_of_them = result["rows"]
    for row in result["rows"]:
        assert list(row["peers"]) == names  # and none of those that train networks
        assert row["reference"] == "estimator-sklearn"
    assert (one["rows"], one["epochs"], all_of_them["rows"]) == (1, 1000, 60_000)
    losses = losses_of(fitted["peers"])
    for name, found in losses.items():
        np.testing.assert_allclose(found, losses["estimator-sklearn"], rtol=0.01, err_msg=name)
    printed = capsys.readouterr().out
    assert "| predict, 60,000 rows |" in printed
    assert "| predict 60,000 " in report.compact(result)


def test_all_cases_of_estimators_have_a_name_for_them():
    assert tuple(peers.parse_arguments(["--cases", "estimators"]).cases) == peers.OF_ESTIMATORS


@pytest.fixture
def one_batch(tmp_path, rng):
    """A function from an optimizer to a case whose only batch is all of the data.

    There the order of the samples does not matter, and losses are the same but for rounding.
    """
    places = {}
    for n_outputs, n_classes in ((1, 2), (4, 4)):
        places[n_outputs] = tmp_path / str(n_outputs)
        places[n_outputs].mkdir()
        X = rng.random((50, 12), np.float32)
        save_data(places[n_outputs], X, rng.integers(0, n_classes, 50))

    def case(n_outputs, optimizer, **more):
        folder = str(places[n_outputs])
        return Case("mnist", (12, 9, n_outputs), 50, optimizer, folder, **more)

    return case


@pytest.mark.slow
def test_all_peers_do_the_same_training(one_batch):
    """All but the one whose compilation takes a minute."""
    able = [name for name, peer in PEERS.items() if "train" in peer.tasks and not peer.missing()]
    names = [name for name in able if name != "torch-compile"]
    cases = [one_batch(4, "sgd"), one_batch(1, "adam"), one_batch(1, "rmsprop")]
    with Team(names, 1, "cpu") as team:
        for case in [*cases, one_batch(4, "adam", epochs=3)]:
            losses = losses_of(team.measure(case, 3)["peers"])
            for name, found in losses.items():
                np.testing.assert_allclose(found, losses["xpnet"], rtol=1e-4, err_msg=name)
        assert [member.name for member in team.members] == names


def test_a_peer_that_dies_is_named_and_the_others_go_on(one_batch):
    said = []
    with Team(["products", "xpnet"], 1, "cpu", say=said.append) as team:
        team.members[0].process.kill()
        row = team.measure(one_batch(4, "sgd"), 1)
        assert list(row["peers"]) == ["xpnet"]
        assert [member.name for member in team.members] == ["xpnet"]
    assert "ended with code -9" in team.left_out["products"][0]
    assert any("products died" in text for text in said)
    assert team.members[0].process.returncode == -9  # nobody is left behind


def test_what_a_peer_writes_before_it_dies_is_reported(one_batch):
    with Team(["xpnet"], 1, "cpu") as team:
        assert not team.measure(one_batch(4, "no such optimizer"), 1)["peers"]
    assert "no such optimizer" in team.left_out["xpnet"][0]
    assert report._brief(team.left_out["xpnet"][0]).endswith("KeyError: 'no such optimizer'")


def test_a_peer_that_does_not_answer_is_left_out(one_batch):
    with Team(["xpnet"], 1, "cpu", patience=0.001) as team:
        assert not team.measure(one_batch(4, "sgd"), 1)["peers"]
    assert "gave no answer" in team.left_out["xpnet"][0]


def test_where_nobody_can_run_nothing_is_written(capsys, monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda names: ([], {"xpnet": ["not installed"]}))
    monkeypatch.setattr(output, "save", lambda *_: pytest.fail("saved"))
    arguments = "--cases mnist --sizes 784,10 --batch-sizes 60 --samples 100 --save nothing"
    with pytest.raises(SystemExit):
        peers.main(arguments.split())
    assert "- left out: xpnet: not installed" in capsys.readouterr().out


def test_time_that_is_over_leaves_one_round_to_the_peers_that_are_built(one_batch, monkeypatch):
    clock = iter([1.0, 3.0, 3.0])  # before each peer is built, and before the second round
    monkeypatch.setattr("bench._peers.team.time.monotonic", lambda: next(clock))
    with Team(["products", "xpnet"], 1, "cpu") as team:
        row = team.measure(one_batch(4, "sgd"), 5, until=2.0)
    assert list(row["peers"]) == ["products"]
    assert len(row["peers"]["products"]["seconds"]) == 1
    assert "no time was left to build it" in team.left_out["xpnet"][0]


def test_a_cell_without_time_is_left_out_and_listed(capsys, monkeypatch, tmp_path):
    over = iter([False, True])
    monkeypatch.setattr(peers._Budget, "is_over", lambda self: next(over))
    arguments = "--cases mnist --peers products --sizes 784,10 --batch-sizes 60,100 --rounds 1"
    arguments += " --optimizers sgd --samples 200 --threads 1 --no-costs"
    result = peers.main([*arguments.split(), "--save", "some", "--out", str(tmp_path)])
    assert [row["batch_size"] for row in result["rows"]] == [60]
    why = "mnist, 784-10, batch 100, sgd: there was no time left for it"
    assert result["left_out"] == {"mnist": [why]}
    assert why in capsys.readouterr().out
    assert json.loads((tmp_path / "some.json").read_text()) == json.loads(json.dumps(result))


def test_what_was_measured_is_saved_after_each_cell(monkeypatch, tmp_path):
    saved, measured = tmp_path / "some.json", Team.measure

    def fails_at_the_second(team, case, *limits):
        if case.batch_size == 100:
            raise RuntimeError("no")
        return measured(team, case, *limits)

    monkeypatch.setattr(Team, "measure", fails_at_the_second)
    arguments = "--cases mnist --peers products --sizes 784,10 --batch-sizes 60,100 --rounds 1"
    arguments += " --optimizers sgd --samples 200 --threads 1 --no-costs"
    with pytest.raises(RuntimeError, match="no"):
        peers.main([*arguments.split(), "--save", "some", "--out", str(tmp_path)])
    assert [row["batch_size"] for row in json.loads(saved.read_text())["rows"]] == [60]
    assert "| 784-10 " in saved.with_suffix(".md").read_text()


def state_of(pid):
    """The letter of a process's state in Linux's /proc; "Z" (ended) if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def comes_to(state, pid, seconds=10.0):
    """Whether a process comes to a state within some seconds."""
    until = time.monotonic() + seconds
    while state_of(pid) != state and time.monotonic() < until:
        time.sleep(0.02)
    return state_of(pid) == state


PARENT = """
import sys, time
from pathlib import Path
from bench._peers.case import Case
from bench._peers.team import Team
team = Team(["products", "xpnet"], 1, "cpu")
asked, waiting = team.members
case = Case("mnist", (12, 9, 4), 50, "sgd", {folder!r})
asked.ask("build", case=case.message())
asked.ask("train")  # and then it is stopped
print(asked.process.pid, waiting.process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of a parent")
def test_a_killed_parent_leaves_no_worker_behind(one_batch):
    code = PARENT.format(folder=one_batch(4, "sgd").folder)
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        asked, waiting = (int(pid) for pid in parent.stdout.readline().split())
        assert comes_to("T", asked)  # stopped
        assert state_of(waiting) != "Z"
        parent.kill()
    assert comes_to("Z", asked)
    assert comes_to("Z", waiting)


def test_a_worker_ends_with_its_input():
    with Team(["products"], 1, "cpu") as team:
        team.members[0].process.stdin.close()
        assert team.members[0].process.wait(30) == 0


@pytest.fixture
def digits():
    """A network with 64 inputs, and data for it that are made up."""
    rng = np.random.default_rng(0)
    data = Dataset(rng.random((100, 64), np.float32), rng.integers(0, 10, 100))
    return dense([64, 8, 10], batch_size=20, epochs=1, optimizer="adam"), data


def test_epochs_of_an_open_training_are_those_of_one_fit(digits):
    net, data = digits
    training = OpenTraining(net, data)
    rows = [training.epoch() for _ in range(3)]
    assert net.history["epoch"] == [1, 2, 3]
    training.close()
    assert not training._thread.is_alive()
    expected = dense([64, 8, 10], batch_size=20, epochs=3, optimizer="adam").fit(data)
    assert [row["loss"] for row in rows] == expected.history["loss"]


def test_the_time_between_epochs_is_not_in_their_seconds(digits):
    training = OpenTraining(*digits)
    for _ in range(3):
        row = training.epoch()
        time.sleep(0.3)
    training.close()
    assert row["seconds"] < 0.2


def test_an_open_training_passes_errors_on(digits):
    net, data = digits
    training = OpenTraining(net, Dataset(data.X[:, :5], data.y))
    with pytest.raises(ValueError, match="5"):
        training.epoch()
    assert not training._thread.is_alive()
    training.close()


def test_a_training_that_was_not_begun_can_be_ended(digits):
    OpenTraining(*digits).close()


def test_a_round_of_xpnet_is_a_further_epoch_of_one_training(one_batch, monkeypatch):
    fits = []
    fit = NeuralNetwork.fit
    monkeypatch.setattr(NeuralNetwork, "fit", lambda *a, **k: fits.append(k) or fit(*a, **k))
    worker = Worker("xpnet")
    worker.build(one_batch(4, "adam").message())
    answers = [worker.train() for _ in range(3)]
    thread = worker.peer.training._thread
    assert len(fits) == 1
    assert worker.peer.net.history["loss"] == [answer["loss"] for answer in answers]
    assert worker.peer.net.history["seconds"] == [answer["seconds"] for answer in answers]
    worker.build(one_batch(4, "sgd").message())
    assert not thread.is_alive()
    worker.close()


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_a_step_of_pytorch_is_captured_from_gradients_that_are_none(one_batch, monkeypatch):
    """On the CPU, with what stands in for streams and graphs."""
    import torch

    from bench._peers.with_torch import Torch, TorchGraph

    @contextmanager
    def captured(graph):
        zeroed = peer.optimizer.zero_grad
        assert all(parameter.grad is None for parameter in peer.model.parameters())
        peer.optimizer.zero_grad = lambda **_: pytest.fail("gradients are zeroed in the graph")
        yield
        peer.optimizer.zero_grad = zeroed

    class Stream:
        def wait_stream(self, other):
            pass

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", captured)
    case = one_batch(4, "adam")
    peer = Torch(case, *load_data(case.folder, keep_sparse=False))
    before = [parameter.detach().clone() for parameter in peer.model.parameters()]
    peer.__class__ = TorchGraph
    for size in (50, 20):
        peer.capture(size)
        for parameter, first in zip(peer.model.parameters(), before, strict=True):
            assert torch.equal(parameter, first)


def test_unknown_names_are_refused(capsys):
    for arguments in (["--peers", "xpnet,tensor"], ["--cases", "cifar"], ["--optimizers", "lbfgs"]):
        with pytest.raises(SystemExit):
            peers.main(arguments)
        assert "unknown" in capsys.readouterr().err


def test_sparse_data_are_read_sparse_or_dense(tmp_path):
    pytest.importorskip("scipy", reason="SciPy, which has sparse matrices, is not installed")
    X, y = word_counts(300)
    assert X.shape == (300, 10_000)
    assert 100 < X.nnz / 300 < 160
    assert 0.4 < y.mean() < 0.6
    save_data(tmp_path, X, y)
    dense, labels = load_data(tmp_path, keep_sparse=False)
    assert dense.dtype == np.float32
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_array_equal(load_data(tmp_path, keep_sparse=True)[0].toarray(), dense)


def test_cases_go_through_json():
    case = Case("mnist", (4, 3, 2), 60, "sgd", "folder")
    assert Case.read(json.loads(json.dumps(case.message()))) == case
    (first, bias), _ = case.weights()
    assert first.shape == (4, 3)
    assert not bias.any()
    np.testing.assert_array_equal(first, case.weights()[0][0])


def test_costs_are_measured():
    numpy, ours = PEERS["products"], PEERS["xpnet"]
    assert 0 < import_seconds(numpy, environment("products", 1, "cpu"), 1) < 30
    assert 10 < installed_mb(numpy) < installed_mb(ours) < 400


@pytest.mark.skipif(
    bool(PEERS["jax-step"].missing()), reason="JAX, beside which we are measured, is not installed"
)
def test_jax_updates_by_hand_are_those_of_optax():
    pytest.importorskip("optax", reason="Optax, JAX's optimizers, is not installed")
    code = """
import jax.numpy as jnp
from bench._peers import with_jax
for name in ("sgd", "adam", "rmsprop"):
    both = with_jax.optimizer(name), with_jax.optimizer_by_hand(name)
    w = jnp.asarray([0.5, -1.0, 2.0])
    states = [each.init(w) for each in both]
    for k in range(1, 4):
        changes = []
        for i, each in enumerate(both):
            change, states[i] = each.update(w * k, states[i], w)
            changes.append(change)
        assert jnp.allclose(*changes, rtol=1e-5), (name, changes)
print("same")
"""
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", code]
    env = environment("jax-step", 1, "cpu")
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "same", done.stderr


@pytest.mark.parametrize("name", ["", "folder/name", "/tmp/name"])
def test_a_name_for_results_is_refused_before_anything_is_measured(name, capsys):
    with pytest.raises(SystemExit):
        bench_ops.main(["--save", name])
    assert "expected a file name without a folder" in capsys.readouterr().err


def test_reading_tables_is_timed_beside_pandas(tmp_path, capsys, monkeypatch):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    from bench import tables

    monkeypatch.setattr(
        tables, "memory", lambda file, engine, folder: {"engine": engine, "peak": 1}
    )
    monkeypatch.setattr("sys.argv", ["tables", "--small", "--rounds", "1", "--engines", "csv"])
    tables.main()
    printed = capsys.readouterr().out
    for word in (
        "long",
        "wide",
        "mixed",
        "pandas itself",
        "csv",
        "4 times the columns",
        "engine (Parquet)",
    ):
        assert word in printed


@pytest.mark.skipif(find_spec("numba") is None, reason="compiled steps need the extra numba")
def test_training_in_two_threads_is_timed(capsys, monkeypatch):
    pytest.importorskip("joblib")
    import xpnet
    from bench import threads

    monkeypatch.setattr(threads, "N_NETWORKS", 2)
    monkeypatch.setattr(
        threads, "row", lambda steps, blas, rounds, samples: {
            "steps": steps, "blas": str(blas), "alone": [2.0, 1.0, 3.0],
            "together": threads.measure(steps, rounds, samples)[1] * 3, "ratio": [0.5, 0.4, 0.6],
        }
    )  # fmt: skip
    before = xpnet.config.threads
    monkeypatch.setattr("sys.argv", ["threads", "--rounds", "1", "--samples", "300"])
    try:
        threads.main()
    finally:
        xpnet.config.threads = before
    printed = capsys.readouterr().out
    for word in ("compiled", "formulas", "in two threads", "0.50 [0.40, 0.60]"):
        assert word in printed


@pytest.mark.skipif(find_spec("numba") is None, reason="compiled steps need the extra numba")
def test_parts_of_a_user_are_timed_beside_the_librarys(capsys, monkeypatch):
    from bench import own_parts

    monkeypatch.setattr("sys.argv", ["own_parts", "--rounds", "1", "--samples", "2100"])
    own_parts.main()
    printed = capsys.readouterr().out
    for word in ("compiled", "formulas", "a user's parts"):
        assert word in printed


@pytest.mark.skipif(find_spec("numba") is None, reason="compiled steps need the extra numba")
def test_networks_of_blocks_are_timed_in_each_way(capsys, monkeypatch):
    from bench import blocks

    monkeypatch.setattr("sys.argv", ["blocks", "--rounds", "1", "--samples", "2100"])
    blocks.main()
    printed = capsys.readouterr().out
    for word in (*blocks.CASES, "compiled ÷ formulas"):
        assert word in printed


def test_this_version_is_timed_beside_another(capsys, monkeypatch):
    from bench import versions

    given = [
        str(Path(__file__).parent.parent),
        "--processes",
        "1",
        "--epochs",
        "1",
        "--steps",
        "formulas",
    ]
    monkeypatch.setattr("sys.argv", ["versions", *given])
    versions.main()
    printed = capsys.readouterr().out
    for word in (*versions.CASES, "after ÷ before", "medians of 1 pairs"):
        assert word in printed


def test_a_folder_without_the_package_is_no_version(capsys, monkeypatch, tmp_path):
    from bench import versions

    monkeypatch.setattr("sys.argv", ["versions", str(tmp_path)])
    with pytest.raises(SystemExit):
        versions.main()
    assert "give the folder of a checkout" in capsys.readouterr().err
