"""Values on their way to where they are computed with."""

import numpy as np
import pytest
import torch

from raygan.gan.transfer import array_of, fill, here, pieces, uploaded

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64])
def test_there_and_back_is_a_copy_of_the_same(dtype):
    array = np.arange(24).astype(dtype).reshape(2, 3, 4)
    array.flags.writeable = False
    tensor = uploaded(array, CPU)
    back = array_of(tensor)
    tensor.add_(1)
    assert array[0, 0, 0] == 0
    assert (back.dtype, back.tolist()) == (array.dtype, array.tolist())


def test_an_array_of_a_tensor_in_another_layout_is_contiguous():
    tensor = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    array = array_of(tensor)
    assert array.flags.c_contiguous
    assert np.array_equal(array, tensor.numpy())


def test_what_is_read_is_ones_own():
    table = torch.arange(6.0).view(2, 3).requires_grad_()
    read = here([table[0], table.T, torch.tensor(2)])
    assert [one.tolist() for one in read] == [[0, 1, 2], [[0, 3], [1, 4], [2, 5]], 2]
    assert not any(one.requires_grad for one in read)
    assert all(one.is_contiguous() for one in read)
    read[0][0] = 9
    assert table[0, 0] == 0


@pytest.mark.parametrize("values", [np.arange(6.0, dtype=np.float32), torch.arange(6.0)])
def test_pieces_of_a_vector_are_views_and_the_rest_comes_last(values):
    made = pieces(values, [2, 0, 3])
    assert [piece.tolist() for piece in made] == [[0, 1], [], [2, 3, 4], [5]]
    target = torch.zeros(3)
    fill(target, made[2])
    assert target.tolist() == [2, 3, 4]
    made[0][0] = 9
    assert values[0] == 9
