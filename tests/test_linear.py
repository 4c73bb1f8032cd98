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
N, K, M = 150, 130, 24  # two blocks of 64 rows, and a rest


@pytest.fixture(autouse=True)
def by_onednn(monkeypatch):
    """Everything is large, and MKL slow here."""
    monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(module, "mkl_is_narrow", lambda: True)


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
        lambda x: x.bfloat16(),
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
    monkeypatch.setattr(module, "mkl_is_narrow", lambda: False)
    assert not is_by_onednn(lambda: linear(x, weight))


@pytest.mark.parametrize(
    ("cpu", "narrow"),
    [
        ({"cpu_name": "AMD EPYC 9555", "avx512_f": True}, True),
        ({"cpu_name": "AMD EPYC 7763", "avx512_f": False}, False),
        ({"cpu_name": "Intel(R) Xeon(R)", "avx512_f": True}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_mkl_is_narrow_on_amds_avx512_alone(monkeypatch, cpu, narrow):
    monkeypatch.undo()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu, raising=False)
    assert module.mkl_is_narrow.__wrapped__() == (narrow and torch.backends.mkl.is_available())
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not module.mkl_is_narrow.__wrapped__()
