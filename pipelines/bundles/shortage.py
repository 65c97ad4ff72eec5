"""Whether an error says that memory is used up: what Python, torch and CUDA raise then has no class in common."""

WORDS = ("allocate memory", "out of memory", "ALLOC_FAILED", "not enough memory")


def is_shortage(error: BaseException) -> bool:
    """True when `error`, or one that led to it (MONAI wraps what its transforms raise), is of too little memory."""
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, MemoryError) or any(word in str(one) for word in WORDS):
            return True
        one = one.__cause__ or one.__context__
    return False
