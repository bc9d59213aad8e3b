"""Each fixed kernel, run on the CPU, against its definition; and under the sanitizers."""

import shutil

import numpy as np
import pytest

from xpnet import (
    BatchNormalization,
    CategoricalEmbeddings,
    LayerNormalization,
    RMSNormalization,
    SoftmaxCrossEntropy,
)
from xpnet.backends import ops, resolve
from xpnet.backends.cuda import kernels
from xpnet.data.reading import has_more_digits
from xpnet.training.steps.captured.lookups import numbers_of

from .cuda.emulator import Emulator, sanitized

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")

SHAPES = [(1, 1), (5, 3), (33, 70), (300, 40), (0, 3)]  # odd, one row, more than a block, empty


class Case:
    """The arguments of a launch on random numbers, and what must be in which of them after it.

    Parameters
    ----------
    shape : tuple of int
        Rows of the batch, and columns.
    dtype : str
    """

    def __init__(self, shape, dtype):
        self.rng = np.random.default_rng(3)
        (self.rows, self.n), self.dtype = shape, np.dtype(dtype)
        self.samples = self.rows + 9
        self.order = self.rng.permutation(self.samples).astype(np.int64)
        self.state = kernels.new_state([5, 2], step=1, start=4, update=7, batch=3, rate=0.1)
        self.batch = self.order[4 : 4 + self.rows]

    def normal(self, *shape):
        return self.rng.standard_normal(shape).astype(self.dtype)

    def empty(self, *shape, dtype=None):
        return np.full(shape, np.nan, dtype or self.dtype)

    @property
    def matrix(self):
        return self.normal(self.rows, self.n)


def over(n, block=64):
    return (max(min(-(-n // block), 7), 1), 1), block


def over_rows(case):
    return (max(-(-case.rows // 2), 1), 1), 64


def columns(case, parts=1):
    return (-(-case.n // 32), parts), 128


CASES = {}


def case(name):
    return lambda make: CASES.setdefault(name, make)


@case("begin_step")
def _tick(c):
    controls = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.1, 0.25, 1.0]])
    now = dict(step=2, start=6, batch=3, rate=0.1, average_weight=0.25, has_update=1)
    after = kernels.new_state([5, 2], update=8, **now)
    return ((1, 1), 32), [c.state, controls], {0: after}


@case("begin_step, no update")
def _tick_alone(c):
    controls = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
    after = kernels.new_state([5, 2], step=2, start=6, update=7, batch=3, rate=0.1, skipped=1)
    return ((1, 1), 32), [c.state, controls], {0: after}


def counted(weighted, **words):
    def make(c):
        state = kernels.new_state([], total=2.5, **words)
        batch_weight = 2.5 if weighted else c.rows
        group_weight = batch_weight + (words["group_weight"] if words["waiting"] else 0.0)
        waiting = 0 if words["has_update"] else words["waiting"] + 1
        new = words | dict(
            batch_weight=batch_weight,
            group_weight=group_weight,
            waiting=waiting,
            first=int(not words["waiting"]),
        )
        after = kernels.new_state([], total=2.5, **new)
        return ((1, 1), 32), [state, c.rows, weighted], {0: after.view(np.float64)}

    return make


CASES["count_batch, first"] = counted(0, waiting=0, group_weight=7.0, has_update=0)
CASES["count_batch, second"] = counted(1, waiting=1, group_weight=7.0, has_update=0)
CASES["count_batch, last"] = counted(1, waiting=2, group_weight=7.0, has_update=1)


def accumulated(first, has_update, group_weight=4.0):
    def make(c):
        g, sums = c.matrix, c.matrix
        state = kernels.new_state(
            [], batch_weight=2.0, group_weight=group_weight, first=first, has_update=has_update
        )
        total = 2 * g + (0 if first else sums)
        mean = total / (group_weight or 1.0) if has_update else g
        return over(g.size), [g, sums, state, g.size], {0: mean, 1: total}

    return make


CASES["accumulate, first"] = accumulated(1, 0)
CASES["accumulate, second"] = accumulated(0, 0)
CASES["accumulate, last"] = accumulated(0, 1)
CASES["accumulate, only"] = accumulated(1, 1)
CASES["accumulate, no weight"] = accumulated(1, 1, group_weight=0.0)


def averaged(average_weight, has_update=1):
    def make(c):
        w, mean = c.matrix, c.matrix
        state = kernels.new_state([], average_weight=average_weight, has_update=has_update)
        expected = mean + (average_weight * (w - mean) if has_update else 0)
        return over(w.size), [w, mean, state, w.size], {1: expected}

    return make


CASES["average, first"] = averaged(1.0)
CASES["average, later"] = averaged(0.25)
CASES["average, not yet"] = averaged(0.0)
CASES["average, no update"] = averaged(0.5, has_update=0)


@case("total_weight")
def _total_weight(c):
    weights, after = np.abs(c.normal(c.samples)), c.state.copy()
    place = kernels.STATE.index("total")
    after.view(np.float64)[place] = weights[c.batch].astype(float).sum()
    return ((1, 1), 64), [weights, c.order, c.state, c.rows], {2: after.view(np.float64)}


@case("fill")
def _fill(c):
    x = c.matrix
    return over(x.size), [x, x.size, 1.5], {0: np.full_like(x, 1.5)}


def gather(kind, standardized):
    """Rows as they are, or standardised in the network's type ("split") or in float64 ("wide")."""

    def make(c):
        offset = 1_700_000_000 if standardized == "wide" else 0  # far off, as seconds are
        data = (c.rng.random((c.samples, c.n)) * 100 + offset).astype(kind)
        x, mean, scale = c.empty(c.rows, c.n), offset + c.rng.random(c.n), c.rng.random(c.n) + 0.5
        rows, moments = ops.take_rows(data, c.batch), {"split": None, "wide": None}
        expected = rows.astype(c.dtype)
        if standardized:
            expected = ops.standardize.dispatch(object)(rows, mean, scale, c.dtype)
            given = (mean, scale)
            given = ops.split_moments(*given, c.dtype) if standardized == "split" else given
            moments[standardized] = np.stack(given)
        arguments = [data, c.order, c.state, x, c.rows, c.n, *moments.values()]
        return ((-(-c.n // 32), max(c.rows // 3, 1)), 32), arguments, {3: expected}

    return make


for _kind in kernels.FEATURE_TYPES:
    CASES[f"gather_{_kind}"] = gather(_kind, None)
    _way = "wide" if has_more_digits(np.dtype(_kind), 4) else "split"
    CASES[f"gather_{_kind}, standardized"] = gather(_kind, _way)


def sparse_rows(c):
    from scipy import sparse

    x = sparse.random_array((c.samples, c.n), density=0.4, rng=c.rng, dtype=c.dtype, format="csr")
    given = [x.indptr.astype(np.int64), x.indices.astype(np.int32), x.data, c.order, c.state]
    return given, x[c.batch].toarray()


@case("csr_rows")
def _csr_rows(c):
    given, dense = sparse_rows(c)
    return ((3, 1), 32), [*given, c.empty(c.rows, c.n), c.rows, c.n], {5: dense}


@case("csr_product")
def _csr_product(c):
    (given, dense), w = sparse_rows(c), c.normal(c.n, 5)
    z = c.empty(c.rows, 5)
    return ((3, 1), 32), [*given, w, z, c.rows, 5], {6: dense @ w}


@case("csr_gradient")
def _csr_gradient(c):
    (given, dense), e = sparse_rows(c), c.normal(c.rows, 5)
    g = np.zeros((c.n, 5), c.dtype)
    return ((3, 1), 32), [*given, e, g, c.rows, 5], {6: dense.T @ e}


def embedded(c, unknown, most):
    """Return the arguments of the kernels of embeddings, and what a layer makes of the input.

    Its columns are numbers but for one or two of codes, some of which are not codes; ``most`` is
    the length of the longest vectors.
    """
    columns = {0: (4, most)} | ({c.n - 1: (3, 2)} if c.n > 1 else {})
    layer = CategoricalEmbeddings(columns, (c.n,), unknown=unknown)
    layer.backend = resolve("cpu", dtype=c.dtype.name)
    layer.initialize()
    layer.weights = c.normal(layer.parameters())
    x = c.matrix
    for column, (n, _) in columns.items():
        x[:, column] = c.rng.integers(0, n, c.rows)
        if c.rows > 3:
            x[:4, column] = [-1, n, 0.5, np.nan]
    return layer, x, layer.forward_propagation(x), numbers_of(layer)


def looked_up(unknown, with_codes):
    def make(c):
        layer, x, out, numbers = embedded(c, unknown, 5)
        n, tables = out.shape[1], len(layer.columns)
        codes = np.full(tables * c.rows, -1, np.int32) if with_codes else None
        arguments = [x, layer.weights, numbers.columns, c.empty(c.rows, n), codes, c.rows, c.n, n]
        expected = {3: out} | ({4: np.concatenate(layer.indices)} if with_codes else {})
        return over(out.size), [*arguments, unknown], expected

    return make


CASES["embed"] = looked_up(False, True)
CASES["embed, unknown"] = looked_up(True, True)
CASES["embed, frozen"] = looked_up(True, False)


def embedding_gradient(most, threads):
    def make(c):
        layer, _, out, numbers = embedded(c, True, most)
        e = c.normal(*out.shape)
        layer.backward_propagation(e)
        codes = np.concatenate(layer.indices).astype(np.int32)
        arguments = [e, codes, numbers.tables, np.zeros_like(layer.weights), c.rows, out.shape[1]]
        return ((len(codes), 1), threads), arguments, {3: layer.weights_gradient}

    return make


CASES["embedding_gradient"] = embedding_gradient(5, 64)
CASES["embedding_gradient, eight warps"] = embedding_gradient(33, 256)
CASES["embedding_gradient, long vectors"] = embedding_gradient(300, 32)


def back(parts, kept):
    def make(c):
        e, d, out = c.matrix, 3 * c.matrix, c.empty(parts, c.n)
        piece = -(-c.rows // parts)
        expected = e * d if kept else e.copy()
        sums = [expected[k * piece : (k + 1) * piece].sum(axis=0) for k in range(parts)]
        arrays = [e, d, out] if kept else [e, out]
        after = {0: expected, len(arrays) - 1: np.array(sums)}
        return columns(c, parts), [*arrays, c.rows, c.n], after

    return make


for _parts in (1, 4):
    CASES[f"column_sums, {_parts}"] = back(_parts, kept=False)
    CASES[f"back_kept, {_parts}"] = back(_parts, kept=True)


@case("sum_parts")
def _sum_parts(c):
    parts = c.normal(4, c.n)
    return over(c.n), [parts, c.empty(c.n), 4, c.n], {1: parts.sum(axis=0)}


@case("dropout_mask")
def _dropout_mask(c):
    mask = c.empty(c.rows, c.n)
    expected = ops.dropout_mask.dispatch(object)(mask, 0.3, 77, 12)
    return over(mask.size), [mask, 77, 12, mask.size, 0.3], {0: expected}


@case("dropout")
def _dropout(c):
    z, d = c.matrix, c.matrix
    mask = ops.dropout_mask.dispatch(object)(z, 0.3, 77, 2 + 1)  # drawn before, and the step
    arguments = [z.copy(), d.copy(), c.state, 1, 77, z.size, 0.3]
    return over(z.size), arguments, {0: z * mask, 1: d * mask}


def norm_of(c):
    layer = BatchNormalization(input_shape=(c.n,))
    layer.backend = resolve("cpu", dtype=c.dtype.name)
    layer.initialize()
    layer.gamma, layer.beta = c.normal(c.n), c.normal(c.n)
    layer.running_mean, layer.running_variance = c.normal(c.n), np.abs(c.normal(c.n))
    return layer


@case("batch_norm")
def _batch_norm(c):
    layer, z, b = norm_of(c), c.matrix, c.normal(c.n)
    moments = [layer.running_mean.copy(), layer.running_variance.copy()]
    arguments = [z.copy(), b, layer.gamma, layer.beta, c.empty(c.rows, c.n), c.empty(c.n), *moments]
    out = layer.forward_propagation(z + b)
    expected = {0: out, 4: layer.normalized, 5: layer.deviation}
    expected |= {6: layer.running_mean, 7: layer.running_variance}
    numbers = [c.rows, c.n, layer.momentum, layer.epsilon]
    return columns(c), [*arguments, *numbers], expected if c.rows else {0: out}


@case("back_batch_norm")
def _back_batch_norm(c):
    layer, e = norm_of(c), c.matrix
    layer.forward_propagation(c.matrix)
    arguments = [e.copy(), layer.normalized, layer.deviation + 0 * layer.gamma, layer.gamma]
    out = layer.backward_propagation(e)
    arguments += [c.empty(c.n), c.empty(c.n), c.rows, c.n]
    return columns(c), arguments, {0: out, 4: layer.gamma_gradient, 5: layer.beta_gradient}


@case("fixed_norm")
def _fixed_norm(c):
    layer, z, b = norm_of(c), c.matrix, c.normal(c.n)
    layer.trainable = False
    out = layer.forward_propagation(z + b, training=True)
    arguments = [z.copy(), b, layer.gamma, layer.beta, layer.running_mean, layer.running_variance]
    return over(z.size), [*arguments, c.rows, c.n, layer.epsilon], {0: out}


@case("back_fixed_norm")
def _back_fixed_norm(c):
    layer, e = norm_of(c), c.matrix
    layer.trainable = False
    layer.forward_propagation(c.matrix, training=True)
    out = layer.backward_propagation(e)
    arguments = [e.copy(), layer.gamma, layer.running_variance, c.rows, c.n, layer.epsilon]
    return over(e.size), arguments, {0: out}


def row_norm_of(c, kind):
    layer = kind(0.1, input_shape=(c.n,))
    layer.backend = resolve("cpu", dtype=c.dtype.name)
    layer.initialize()
    layer.gamma = c.normal(c.n)
    return layer


def row_norm(kind):
    def make(c):
        layer, z, b = row_norm_of(c, kind), c.matrix, c.normal(c.n)
        out = layer.forward_propagation(z + b)
        arguments = [z.copy(), b, layer.gamma, c.empty(c.rows, c.n), c.empty(c.rows), c.rows, c.n]
        arguments += [kind is LayerNormalization, 0.1]
        expected = {0: out, 3: layer.normalized, 4: layer.divisor[:, 0]}
        return over_rows(c), arguments, expected

    return make


def back_row_norm(kind):
    def make(c):
        layer, e = row_norm_of(c, kind), c.matrix
        layer.forward_propagation(c.matrix)
        out = layer.backward_propagation(e)
        arguments = [e.copy(), layer.normalized, layer.divisor[:, 0].copy(), layer.gamma]
        return over_rows(c), [*arguments, c.rows, c.n, kind is LayerNormalization], {0: out}

    return make


for _norm in (LayerNormalization, RMSNormalization):
    _name = "" if _norm is LayerNormalization else ", root mean square"
    CASES[f"row_norm{_name}"] = row_norm(_norm)
    CASES[f"back_row_norm{_name}"] = back_row_norm(_norm)


@case("product_sums")
def _product_sums(c):
    e, x = c.matrix, c.matrix
    arguments = [e, x, c.empty(1, c.n), c.rows, c.n]
    return columns(c), arguments, {2: (e * x).sum(axis=0, keepdims=True)}


@case("add_to")
def _add_to(c):
    x, y = c.matrix, c.matrix
    return over(x.size), [x.copy(), y, x.size], {0: x + y}


@case("copy_to")
def _copy_to(c):
    x, y = c.empty(c.rows, c.n), c.matrix
    return over(x.size), [x, y, x.size], {0: y}


def loss_case(loss, targets, weighted):
    def make(c):
        z, e = c.matrix, c.empty(c.rows, c.n)
        y = targets(c)
        weights = np.abs(c.normal(c.samples)) if weighted else None
        given = () if weights is None else (weights[c.batch],)
        total = c.rows if weights is None else weights[c.batch].sum()
        words = c.state.view(np.float64)
        words[kernels.STATE.index("total")] = total
        words[kernels.STATE.index("scale")] = 4.0
        if c.n == 1:  # which the loss refuses: one class is certain
            value, derivative = 0.0, 0 * z
        else:
            value, derivative = loss.loss_and_derivative(y[c.batch], z, *given)
        losses, hits = c.empty(c.rows, dtype="float64"), c.empty(c.rows, dtype="float64")
        kept = c.empty(4 + c.rows, c.n)
        arguments = [
            z,
            e,
            y,
            c.order,
            weights,
            c.state,
            losses,
            hits,
            kept,
            c.rows,
            c.n,
            loss.max_reported,
        ]
        right = z.argmax(axis=1) == (y[c.batch] if y.ndim == 1 else y[c.batch].argmax(axis=1))
        expected = {1: 4.0 * derivative, 6: value, 7: right * (given[0] if given else 1.0)}
        expected[8] = ops.log_softmax(z) if c.rows else z
        return over_rows(c), arguments, expected

    return make


def classes(c):
    return c.rng.integers(0, c.n, c.samples)


def parts_of_classes(c):
    return c.rng.dirichlet(np.ones(c.n), c.samples).astype(c.dtype)


for _weighted in (False, True):
    for _name, _loss, _targets in (
        ("softmax_classes", SoftmaxCrossEntropy(), classes),
        ("softmax_rows", SoftmaxCrossEntropy(), parts_of_classes),
        ("softmax_classes, at most", SoftmaxCrossEntropy(max_reported=1.5), classes),
        ("softmax_rows, at most", SoftmaxCrossEntropy(max_reported=1.5), parts_of_classes),
    ):
        _key = f"{_name}, weighted" if _weighted else _name
        CASES[_key] = loss_case(_loss, _targets, _weighted)


@case("reduce_losses")
def _report(c):
    losses, hits = (np.abs(c.normal(c.rows)).astype(float) for _ in range(2))
    into, totals, after = np.zeros(3), np.zeros(3), c.state.copy()
    numbers = after.view(np.float64)
    numbers[kernels.STATE.index("hits")] = hits.sum()
    numbers[kernels.STATE.index("counted")] = c.rows
    arguments = [losses, hits, c.state, into, totals, c.rows, 0]
    expected = {2: numbers, 3: np.array([0, losses.sum(), 0]), 4: np.array([0, c.rows, 0])}
    return ((1, 1), 64), arguments, expected


@case("keep_outputs")
def _keep_outputs(c):
    z, kept = c.matrix, np.zeros((c.samples, c.n), c.dtype)
    expected = kept.copy()
    expected[4 : 4 + c.rows] = z
    return over(z.size), [z, kept, c.state, c.rows, c.n], {1: expected}


@case("clip_values")
def _clip_values(c):
    g = 3 * c.matrix
    return over(g.size), [g, c.state, g.size, 1.0, 0], {0: np.clip(g, -1, 1)}


@case("clip_values, scaled")
def _clip_scaled(c):
    g = 9 * c.matrix
    g[:1, :1] = np.inf
    c.state.view(np.float64)[kernels.STATE.index("scale")] = 4.0
    expected = np.where(np.isfinite(g), np.clip(g, -4, 4), g)
    return over(g.size), [g, c.state, g.size, 1.0, 1], {0: expected}


@case("square_sum")
def _square_sum(c):
    g, parts = c.matrix, c.empty(6, dtype="float64")
    expected = np.float64((g.astype(float) ** 2).sum())
    return ((6, 1), 64), [g, parts, g.size], {1: expected}


def judged(sum_of_squares, most, scaled, good=0, **after):
    def make(c):
        words = dict(scale=4.0, good=good, update=7, has_update=1)
        parts = np.array([sum_of_squares / 2, sum_of_squares / 2])
        state, expected = kernels.new_state([], **words), kernels.new_state([], **(words | after))
        arguments = [parts, state, 2, most, scaled]
        return ((1, 1), 64), arguments, {1: expected.view(np.float64)}

    return make


CASES["unscale_and_clip, short enough"] = judged(64.0, 3.0, 0, factor=0.25)  # 8 / 4 is 2
CASES["unscale_and_clip, too long"] = judged(64.0, 1.0, 0, factor=0.125)
CASES["unscale_and_clip, any length"] = judged(64.0, 0.0, 1, factor=0.25, good=1)
CASES["unscale_and_clip, doubled"] = judged(64.0, 0.0, 1, good=1999, factor=0.25, scale=8.0)


@case("unscale_and_clip, overflowed")
def _overflowed(c):
    state = kernels.new_state([], scale=4.0, good=9, update=7, has_update=1)
    new = dict(scale=2.0, good=0, update=6, skipped=1, factor=0.25)
    expected = kernels.new_state([], has_update=1, **new)
    arguments = [np.array([1.0, np.inf]), state, 2, 0.0, 1]
    return ((1, 1), 64), arguments, {1: expected.view(np.float64)}


@case("unscale_and_clip, no update")
def _not_judged(c):
    state = kernels.new_state([], scale=4.0, good=9, update=7, skipped=1)
    arguments = [np.array([1.0, np.inf]), state, 2, 1.0, 1]
    return ((1, 1), 64), arguments, {1: state.copy().view(np.float64)}


def test_every_fixed_kernel_has_a_case():
    assert {name.partition(",")[0] for name in CASES} == set(kernels.SIGNATURES)


# Their definitions, too, have nothing to say of no samples.
NOT_EMPTY = ("csr_gradient", "embedding_gradient", "batch_norm", "back_batch_norm")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (name, shape)
        for name in CASES
        for shape in SHAPES
        if 0 not in shape or name.partition(",")[0] not in NOT_EMPTY
    ],
    ids=str,
)
def test_a_kernel_does_what_its_definition_says(name, dtype, shape):
    c = Case(shape, dtype)
    with np.errstate(all="ignore"):
        (grid, block), arguments, expected = CASES[name](c)
    Emulator(dtype).launch(name.partition(",")[0], grid, block, *arguments)
    tolerance = 2e-5 if dtype == "float32" else 1e-11
    for place, wanted in expected.items():
        got = arguments[place]
        if place == 6 and np.ndim(wanted) == 0 and got.ndim == 1:
            got = got.sum()  # parts of a loss
        if place == 1 and name == "square_sum":
            got = got.sum()
        if place == 8 and "softmax" in name:
            got = got[4:]
        if got.dtype == np.int64 and wanted.dtype == np.float64:
            got = got.view(np.float64)
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", ["softmax_classes", "softmax_rows"])
def test_a_loss_that_is_no_number_is_not_taken_for_the_most(name):
    key = next(key for key in CASES if key.startswith(name) and "at most" in key)
    c = Case((5, 3), "float32")
    (grid, block), arguments, _ = CASES[key](c)
    arguments[0][2] = np.nan
    Emulator("float32").launch(name, grid, block, *arguments)
    assert np.isnan(arguments[6]).tolist() == [False, False, True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address", "thread", "undefined"])
def test_a_sanitizer_finds_nothing_in_any_kernel(sanitizer):
    launches = []
    for name, make in CASES.items():
        # Of embeddings also with more rows than a block has threads.
        for shape in [(5, 3), (33, 70), *[(140, 3)] * name.startswith("embedding_gradient")]:
            (grid, block), arguments, _ = make(Case(shape, "float32"))
            launches.append((name.partition(",")[0], grid, block, *arguments))
    outcome = sanitized(launches, sanitizer, timeout=300)
    assert outcome.returncode == 0, outcome.stderr[-3000:]
