"""How contents are cut into blocks."""

from fusionlab.encoders.blocks import BATCHES_A_BLOCK, cut

BATCH = 4


def test_blocks_start_with_one_batch_and_hold_like_sizes():
    sizes = [(37 * k) % 1000 for k in range(1000)]  # each size once
    contents = [f"content of {size}" for size in sizes]
    blocks = cut(contents, sizes, BATCH)
    most = BATCH * BATCHES_A_BLOCK
    assert [len(block) for block in blocks[:6]] == [4, 8, 16, 32, 64, 64]
    assert max(len(block) for block in blocks) == most
    flat = [content for block in blocks for content in block]
    assert flat == [f"content of {size}" for size in reversed(range(1000))]


def test_equal_sizes_keep_the_order_of_the_catalogue():
    assert cut(list("abcdefg"), [1] * 7, BATCH) == [list("abcd"), list("efg")]


def test_nothing_to_encode_is_no_block():
    assert cut([], [], BATCH) == []
