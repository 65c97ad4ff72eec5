"""The node as Task Performer of another manager (IHE AIW-I, Pull and Triggered Pull).

A workitem that we claim there is copied into our own worklist, where it becomes a job like one that was pushed on us.
What becomes of the copy the manager is told; what the manager asks for the copy is asked for.
"""
