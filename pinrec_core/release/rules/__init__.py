"""The rules of the gate, each a pure function from numbers to a RuleResult with one sentence.

Everything fails closed and says what it lacks: a surface without a floor or an evaluation, a metric that is missing,
not finite or of too few users, a comparison or a check that the evaluation does not have.
"""
