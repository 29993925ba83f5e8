"""Threads are a setting of the whole process."""

import pytest
import torch

from gulmfit.models.hardware import threads


def test_threads_are_given_back_also_after_an_error() -> None:
    before = torch.get_num_threads()
    found = []

    def fail() -> None:
        with threads(before + 1):
            found.append(torch.get_num_threads())
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert found == [before + 1]
    assert torch.get_num_threads() == before
