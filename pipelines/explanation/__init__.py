"""Why an answer, and how steady: maps on the very grid that was answered, one method a file.

A method reads a network or a score of it and an image (1, channel, *space), space being (k, j, i) or (rows, columns),
on any device, and gives float32 (*space) on the CPU. None of them draws random numbers: a rerun gives the same map.
"""
