"""pinrec doctor: what must be there before a run, here or on a cluster, looked at one by one.

A check is one small function that takes the subject and gives a finding; examination.py lists them. kubectl, minikube
and docker are asked as commands, each with a time limit.
"""
