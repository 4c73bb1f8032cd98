from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_reference import clicks, draw, ranked, row

from fusionlab.errors import FusionlabError, NotANumberError
from fusionlab.evaluation.ranking import GROUP, NOTHING, block_of, top_k

seeds = st.integers(0, 2**32 - 1)


def padded(items, k):
    return (items + [NOTHING] * k)[:k]


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    n_users=st.integers(1, 8),
    n_items=st.integers(1, 300),
    k=st.integers(1, 12),
    levels=st.sampled_from([1, 2, 5, 1000]),
    busy=st.sampled_from([0.05, 0.3, 1.0]),
    block=st.integers(1, 9),
    group=st.integers(2, 40),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_equals_sorting_by_score_then_item(
    seed, n_users, n_items, k, levels, busy, block, group, dtype
) -> None:
    problem = draw(seed, n_users, n_items, levels=levels, busy=busy)
    table = problem.table.to(dtype)
    problem.table.copy_(table)
    with patch("fusionlab.evaluation.ranking.GROUP", group):
        items, values = top_k(
            lambda u: table[u], problem.exclude, torch.arange(n_users), k, block=block
        )
    assert items.tolist() == [padded(ranked(problem, user), k) for user in range(n_users)]
    assert values.dtype == dtype
    real = items != NOTHING
    assert torch.equal(values[real], table.gather(1, items.clamp(min=0))[real])
    assert (values[~real] == -torch.inf).all()


@settings(max_examples=20, deadline=None)
@given(seed=seeds, k=st.integers(1, 25))
def test_masked_items_never_appear(seed, k) -> None:
    problem = draw(seed, 6, 90, busy=1.0)
    items, _ = top_k(problem.scores, problem.exclude, torch.arange(6), k)
    for user in range(6):
        assert not set(items[user].tolist()) & set(row(problem.exclude, user))


@pytest.mark.parametrize("levels", [3, 10**6])
def test_block_size_and_threads_change_no_bit(levels) -> None:
    problem = draw(1, 70, 2000, levels=levels, busy=0.05)
    users, threads = torch.arange(70), torch.get_num_threads()
    expected = top_k(problem.scores, problem.exclude, users, 20, block=70)
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            for block in (1, 7, 64, 1000):
                found = top_k(problem.scores, problem.exclude, users, 20, block=block)
                assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))
    finally:
        torch.set_num_threads(threads)


def test_a_tie_across_the_boundary_and_across_runs_goes_to_the_lower_rows() -> None:
    table = torch.zeros(1, 1000)
    table[0, 999] = 1.0
    items, _ = top_k(lambda u: table[u], clicks([[0, 2]], 1000), torch.tensor([0]), 4)
    assert items.tolist() == [[999, 1, 3, 4]]


def test_signed_zeros_are_equal_and_infinity_comes_first() -> None:
    table = torch.tensor([[-0.0, 0.0, torch.inf, -0.0, -torch.inf]])
    items, _ = top_k(lambda u: table[u], clicks([[]], 5), torch.tensor([0]), 5)
    assert items.tolist() == [[2, 0, 1, 3, NOTHING]]


def test_a_catalogue_ranked_in_groups_has_its_ties_across_them_and_its_last_column() -> None:
    n = 100 * GROUP**2 + 5  # two levels of groups
    table = torch.zeros(1, n)
    table[0, [7, n // 2, n - 1]] = torch.tensor([1.0, 2.0, 1.0])
    items, _ = top_k(lambda u: table[u], clicks([[0]], n), torch.tensor([0]), 5)
    assert items.tolist() == [[n // 2, 7, n - 1, 1, 2]]


def test_the_best_of_one_group_and_a_score_that_is_no_number_are_found() -> None:
    n = 100 * GROUP
    table = torch.rand(2, n)
    table[:, 3::100] = 2 + torch.arange(float(GROUP))  # all in one group
    items, _ = top_k(lambda u: table[u], clicks([[], []], n), torch.arange(2), 5)
    assert items.tolist() == [[n - 97 - 100 * place for place in range(5)]] * 2
    table[1, 250] = torch.nan
    with pytest.raises(NotANumberError, match="user row 1 "):
        top_k(lambda u: table[u], clicks([[], []], n), torch.arange(2), 5)


def test_users_in_any_order_and_repeated() -> None:
    problem = draw(2, 9, 50)
    everyone, _ = top_k(problem.scores, problem.exclude, torch.arange(9), 5)
    chosen = torch.tensor([7, 0, 7, 3])
    items, _ = top_k(problem.scores, problem.exclude, chosen, 5, block=3)
    assert torch.equal(items, everyone[chosen])


def test_a_large_catalogue_is_ranked_in_smaller_blocks() -> None:
    assert block_of(7050) == block_of(2**17) == 256
    assert block_of(350_000) == 95
    assert block_of(2_000_000) == block_of(2**30) == 64


def test_no_users() -> None:
    problem = draw(3, 2, 10)
    users = torch.zeros(0, dtype=torch.int64)
    items, values = top_k(problem.scores, problem.exclude, users, 5)
    assert items.shape == values.shape == (0, 5)


@pytest.mark.parametrize("n_users", [1, 3])
def test_one_row_shared_by_all_users_is_not_written_into(n_users) -> None:
    popularity = torch.arange(40.0)
    exclude = clicks([[39]] * n_users, 40)
    items, _ = top_k(lambda u: popularity.expand(len(u), -1), exclude, torch.arange(n_users), 2)
    assert items.tolist() == [[38, 37]] * n_users
    assert torch.equal(popularity, torch.arange(40.0))


def test_scores_that_carry_a_gradient_are_ranked_without_one() -> None:
    weight = torch.nn.Parameter(torch.randn(4, 50))
    _, values = top_k(lambda u: weight, clicks([[]] * 4, 50), torch.arange(4), 3)
    assert not values.requires_grad


def test_nan_names_the_user() -> None:
    table = torch.zeros(600, 70)
    table[[300, 310], 69] = torch.nan
    with pytest.raises(FusionlabError, match=r"NaN in the scores of user row 300 \(and of 1 more"):
        top_k(lambda u: table[u], clicks([[]] * 600, 70), torch.arange(600), 2)


@pytest.mark.parametrize("wrong", [torch.zeros(2, 9), torch.zeros(2, 10, dtype=torch.int64)])
def test_scores_of_a_wrong_shape_or_type(wrong) -> None:
    with pytest.raises(FusionlabError, match=r"expected floating-point \(2, 10\)"):
        top_k(lambda u: wrong, clicks([[]] * 2, 10), torch.arange(2), 2)
