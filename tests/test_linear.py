"""Large products by oneDNN are those of PyTorch, gradients and all."""

import os

import pytest
import torch
import torch.nn.functional as F

from fusionlab import linear as room
from fusionlab.benchmarking.fusion import count_flops
from fusionlab.linear import linear

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN"
)
N, K, M = 37, 130, 24


@pytest.fixture(autouse=True)
def by_onednn(monkeypatch):
    """Everything is large, and MKL slow here."""
    monkeypatch.setattr(room, "LARGE", 1)
    monkeypatch.setattr(room, "mkl_is_narrow", lambda: True)


@pytest.fixture
def operands():
    draw = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=draw, requires_grad=True) for shape in [(N, K), (M, K), (M,)]
    ]


def is_by_onednn(x):
    return "ByOneDnn" in str(x.grad_fn)


@pytest.mark.parametrize("with_bias", [True, False])
def test_the_product_and_its_gradients_are_those_of_pytorch(operands, with_bias):
    operands = operands[: 2 + with_bias]
    found = linear(*operands)
    assert with_bias or is_by_onednn(found)
    torch.testing.assert_close(found, F.linear(*operands), atol=1e-4, rtol=1e-5)
    towards = torch.randn(N, M, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad((found * towards).sum(), operands)
    wanted = torch.autograd.grad((F.linear(*operands) * towards).sum(), operands)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-5)


def test_a_gradient_has_gradients(operands):
    x, weight, _ = operands

    def size_of_the_gradient(map_):
        (of_x,) = torch.autograd.grad(map_(x, weight).tanh().sum(), x, create_graph=True)
        return torch.autograd.grad(of_x.square().sum(), [x, weight])

    found, wanted = size_of_the_gradient(linear), size_of_the_gradient(F.linear)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)


def test_only_what_learns_gets_a_gradient(operands):
    x, weight, _ = operands
    linear(x.detach(), weight).sum().backward()
    assert x.grad is None
    assert weight.grad is not None


def test_transposed_operands_are_read_as_they_are(operands):
    x, weight, _ = operands
    turned = linear(x.T.contiguous().T, weight.T.contiguous().T)
    torch.testing.assert_close(turned, linear(x, weight))


def test_the_same_call_has_the_same_bits(operands):
    x, weight, _ = operands
    assert torch.equal(linear(x, weight), linear(x, weight))


def test_its_operations_are_counted(operands):
    x, weight, _ = operands
    assert count_flops(lambda: linear(x, weight)) == 2 * N * K * M
    both = count_flops(lambda: linear(x, weight).sum().backward())
    assert both == 3 * 2 * N * K * M


@pytest.mark.parametrize(
    "of", [lambda x: x[:, None], lambda x: x.double(), lambda x: x.bfloat16(), lambda x: x[:0]]
)
def test_anything_else_is_left_to_pytorch(operands, of):
    x, weight, bias = operands
    x = of(x)
    assert not is_by_onednn(linear(x, weight.to(x.dtype)))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(operands[0], weight, bias).dtype == torch.bfloat16


def test_small_products_and_other_cpus_are_left_to_pytorch(operands, monkeypatch):
    x, weight, _ = operands
    monkeypatch.setattr(room, "LARGE", N * K * M + 1)
    assert not is_by_onednn(linear(x, weight))
    monkeypatch.setattr(room, "LARGE", N * K * M)
    assert is_by_onednn(linear(x, weight))
    monkeypatch.setattr(room, "mkl_is_narrow", lambda: False)
    assert not is_by_onednn(linear(x, weight))


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
    assert room.mkl_is_narrow.__wrapped__() == (narrow and torch.backends.mkl.is_available())


@pytest.mark.parametrize(("set_by_hand", "kept"), [(None, "4096"), ("99", "99")])
def test_more_kernels_are_kept_unless_somebody_says_how_many(monkeypatch, set_by_hand, kept):
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, set_by_hand or "")
    if not set_by_hand:
        monkeypatch.delenv(name)
    room.keep_kernels()
    assert os.environ[name] == kept
