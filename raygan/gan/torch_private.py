"""The private names of torch that more than one room needs."""

from torch.utils._python_dispatch import TorchDispatchMode


class DispatchMode(TorchDispatchMode):
    """What sees every operation that is played inside, one by one; `__torch_dispatch__` is the heir's."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """torch asks; True would import its compiler, which takes two seconds, to keep it away from what is below."""
        return False
