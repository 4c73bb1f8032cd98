"""Large products by oneDNN are those of PyTorch, gradients and all."""

import pytest
import torch
import torch.nn.functional as F

from fusionlab import linear as module
from fusionlab.benchmarking.fusion import count_flops
from fusionlab.linear import Linear, linear

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN"
)
IN_BF16 = torch.backends.mkldnn.is_available() and module.bf16_is_multiplied()
N, K, M = 150, 130, 24  # two blocks of 64 rows, and a rest


@pytest.fixture(autouse=True)
def by_onednn(monkeypatch):
    """Everything is large, and MKL slow here."""
    monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(module, "onednn_is_faster", lambda trained: True)
    monkeypatch.setattr(module, "bf16_is_multiplied", lambda: True)


@pytest.fixture
def operands():
    draw = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=draw, requires_grad=True) for shape in [(N, K), (M, K), (M,)]
    ]


@pytest.fixture
def is_by_onednn(monkeypatch):
    """Asks whether a call multiplies by oneDNN."""
    calls = []
    real = module._ByOneDnn.apply
    monkeypatch.setattr(module._ByOneDnn, "apply", lambda *of: calls.append(1) or real(*of))

    def ask(call):
        calls.clear()
        call()
        return bool(calls)

    return ask


@pytest.mark.parametrize("with_bias", [True, False])
def test_the_product_and_its_gradients_are_those_of_pytorch(operands, is_by_onednn, with_bias):
    operands = operands[: 2 + with_bias]
    assert is_by_onednn(lambda: linear(*operands))
    found = linear(*operands)
    torch.testing.assert_close(found, F.linear(*operands), atol=1e-4, rtol=1e-5)
    towards = torch.randn(N, M, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad((found * towards).sum(), operands)
    wanted = torch.autograd.grad((F.linear(*operands) * towards).sum(), operands)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-5)


def test_a_gradient_has_gradients(operands):
    x, weight, _ = operands

    def size_of_the_gradient(multiply):
        (of_x,) = torch.autograd.grad(multiply(x, weight).tanh().sum(), x, create_graph=True)
        return torch.autograd.grad(of_x.square().sum(), [x, weight])

    found, wanted = size_of_the_gradient(linear), size_of_the_gradient(F.linear)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


def test_only_what_learns_gets_a_gradient(operands):
    x, weight, _ = operands
    linear(x.detach(), weight).sum().backward()
    assert x.grad is None
    assert weight.grad is not None


def test_operands_may_be_views(operands):
    x, weight, _ = operands
    turned = linear(x.T.contiguous().T, weight.T.contiguous().T)
    torch.testing.assert_close(turned, F.linear(x, weight), atol=1e-4, rtol=1e-5)


def test_the_same_call_has_the_same_bits(operands):
    x, weight, _ = operands
    assert torch.equal(linear(x, weight), linear(x, weight))


def test_any_number_of_rows_is_few_shapes(operands, monkeypatch):
    x, weight, _ = operands
    shapes = set()
    real = module._ByOneDnn.apply
    monkeypatch.setattr(module._ByOneDnn, "apply", lambda *of: shapes.add(of[0].shape) or real(*of))
    for n in range(module.ROWS, N):
        linear(x[:n], weight)
    assert shapes == {(64, K), (128, K)}


def test_its_operations_are_counted(operands):
    x, weight, _ = operands
    assert count_flops(lambda: linear(x, weight)) == 2 * N * K * M
    assert count_flops(lambda: linear(x, weight).sum().backward()) == 3 * 2 * N * K * M


def test_a_layer_multiplies_so(operands, is_by_onednn):
    x, weight, bias = operands
    layer = Linear(K, M)
    layer.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
    assert is_by_onednn(lambda: layer(x))
    torch.testing.assert_close(layer(x), F.linear(x, weight, bias), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    "of",
    [
        lambda x: x[:, None],
        lambda x: x.double(),
        lambda x: x.half(),
        lambda x: x[:0],
        lambda x: x[: module.ROWS - 1],
    ],
)
def test_anything_else_is_left_to_pytorch(operands, is_by_onednn, of):
    x, weight, _ = operands
    x = of(x)
    assert not is_by_onednn(lambda: linear(x, weight.to(x.dtype)))


def test_so_is_what_pytorch_casts_transforms_or_was_told_not_to_do(operands, is_by_onednn):
    x, weight, _ = operands
    assert not is_by_onednn(lambda: torch.func.vmap(linear, (0, None))(x[None], weight))
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_by_onednn(lambda: linear(x, weight))
    with torch.backends.mkldnn.flags(enabled=False):
        assert not is_by_onednn(lambda: linear(x, weight))


@pytest.mark.parametrize("cast", [True, False])
@pytest.mark.parametrize("piece", [1, 70 * K, 2**21])
@pytest.mark.parametrize("n", [64, 70, 128, N])
def test_bf16_is_multiplied_in_blocks(operands, monkeypatch, cast, piece, n):
    """Beside the float32 product of the same bfloat16 numbers."""
    monkeypatch.setattr(module, "PIECE", piece)
    x, weight, bias = (x.detach().bfloat16() for x in (operands[0][:n], *operands[1:]))
    given = [(y.float() if cast else y).requires_grad_() for y in (x, weight, bias)]
    exact = [y.float().requires_grad_() for y in (x, weight, bias)]
    with torch.autocast("cpu", torch.bfloat16, enabled=cast):
        found = linear(*given)
    assert found.dtype == torch.bfloat16
    assert found.shape == (n, M)
    wanted = F.linear(*exact)
    torch.testing.assert_close(found.float(), wanted, atol=0.1, rtol=0.02)
    towards = torch.randn(n, M, generator=torch.Generator().manual_seed(1)).bfloat16()
    found = [g.float() for g in torch.autograd.grad((found * towards).sum(), given)]
    wanted = torch.autograd.grad((wanted * towards.float()).sum(), exact)
    torch.testing.assert_close(found, list(wanted), atol=0.25, rtol=0.02)


@pytest.mark.skipif(not IN_BF16, reason="this CPU multiplies no bfloat16")
def test_a_product_in_bf16_is_rounded_once_with_its_bias(operands):
    given = [x.detach().bfloat16() for x in operands]
    exact = F.linear(*(x.double() for x in given))
    off, rounding = (
        (x.double() - exact).norm() for x in (linear(*given), exact.to(torch.bfloat16))
    )
    assert off < 1.01 * rounding


def test_a_gradient_in_bf16_has_gradients(operands):
    x, weight, _ = (x.detach().bfloat16().requires_grad_() for x in operands)
    (of_x,) = torch.autograd.grad(linear(x, weight).square().sum(), x, create_graph=True)
    found = torch.autograd.grad(of_x.sum(), [x, weight])
    x, weight = (y.detach().float().requires_grad_() for y in (x, weight))
    (of_x,) = torch.autograd.grad(F.linear(x, weight).square().sum(), x, create_graph=True)
    wanted = torch.autograd.grad(of_x.sum(), [x, weight])
    for mine, theirs in zip(found, wanted, strict=True):
        assert (mine.float() - theirs).norm() < 0.02 * theirs.norm()


def test_any_number_of_rows_in_bf16_is_few_shapes(operands, monkeypatch):
    x, weight = (x.detach().bfloat16().requires_grad_() for x in operands[:2])
    sizes = set()
    for home, name in ((torch, "mm"), (torch, "addmm"), (F, "linear")):
        real = getattr(home, name)

        def multiply(*of, real=real):
            sizes.update(size for matrix in of if matrix is not None for size in matrix.shape)
            return real(*of)

        monkeypatch.setattr(home, name, multiply)
    for n in range(module.ROWS, N):
        linear(x[:n], weight).sum().backward()
    assert sizes == {64, 128, K, M}


def test_bf16_that_pytorch_casts_to_another_type_is_left_to_it(operands):
    x, weight = (x.bfloat16() for x in operands[:2])
    with torch.autocast("cpu", torch.float16):
        assert linear(x, weight).dtype == torch.float16
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x.double(), weight.double()).dtype == torch.float64


def test_a_wrong_width_is_told_by_pytorch(operands):
    x, weight, _ = operands
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        linear(x[:, 1:], weight)


def test_small_products_and_other_cpus_are_left_to_pytorch(operands, is_by_onednn, monkeypatch):
    x, weight, _ = operands
    monkeypatch.setattr(module, "LARGE", N * K * M + 1)
    assert not is_by_onednn(lambda: linear(x, weight))
    monkeypatch.setattr(module, "LARGE", N * K * M)
    assert is_by_onednn(lambda: linear(x, weight))
    monkeypatch.setattr(module, "onednn_is_faster", lambda trained: not trained)
    assert not is_by_onednn(lambda: linear(x, weight))
    assert is_by_onednn(lambda: linear(x.detach(), weight.detach()))
    assert is_by_onednn(torch.no_grad()(lambda: linear(x, weight)))


@pytest.mark.parametrize(
    ("cpu", "faster"),
    [
        ({"cpu_name": "AMD EPYC 9555", "avx512_f": True}, {True, False}),
        ({"cpu_name": "AMD EPYC 7763", "avx512_f": False}, {False}),
        ({"cpu_name": "Intel(R) Xeon(R)", "avx512_f": True}, set()),
        ({"architecture": "aarch64"}, set()),
    ],
)
def test_onednn_is_faster_on_amd_alone_and_without_avx512_if_untrained(monkeypatch, cpu, faster):
    monkeypatch.undo()
    is_faster = module.onednn_is_faster.__wrapped__
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu, raising=False)
    found = {trained for trained in (True, False) if is_faster(trained=trained)}
    assert found == (faster if torch.backends.mkl.is_available() else set())
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not is_faster(trained=False)
