"""Private names of torch that several rooms need."""

from torch.utils._python_dispatch import TorchDispatchMode


class DispatchMode(TorchDispatchMode):
    """A mode that sees every operation run inside it, one by one; subclasses define `__torch_dispatch__`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Answer torch: True would import its compiler, which takes two seconds, to keep it out of the calls below."""
        return False
