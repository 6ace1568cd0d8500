"""Tasks that start warm: forked from a process that has imported what they need.

A run starts some twenty Python processes, one or two a task. On small data they do little but import: of the 21 s of
CPU of a run on 60 users, 17 s. start.py gives a run an interpreter whose `-m module` is a fork of server.py's process;
client.py is that interpreter. Whatever it cannot do, the real one does: without a server all is as ever, only slower.
"""
