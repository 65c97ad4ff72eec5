"""What makes a GPU give the same numbers for the same volume: without it a rerun could make other objects."""


def make_repeatable() -> None:
    """From now on, for the whole process: full float32 in matrix products and convolutions, and of cuDNN's ways only
    those that always sum in one order, none of them chosen by a race. Imports torch: call it in a child only."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
