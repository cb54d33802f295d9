"""Updates values by optax's optimizers, in float64, with gradients that are given.

Standard input is a JSON list of cases. Each has
  rule       an optimiser's settings, as gputrain's recipes name them
  schedule   its schedule, with lengths in steps
  lookahead  {"every": ..., "start": ..., "final": ...}, or nothing; both shares are the same
  rows       of the matrix that the values are
  first      the values at first
  gradients  a list for each step
Standard output gets a JSON list: for each case, the values after each step.

optax shares no code with gputrain. Where it means something else by an optimizer, the case is put together from parts of optax.
"""
import json
import sys

import jax
import jax.numpy as jnp
import optax
from optax.contrib._muon import MuonDimensionNumbers, orthogonalize_via_newton_schulz, scale_by_shape

jax.config.update("jax_enable_x64", True)

NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315


def rate_of(rule, schedule):
    """The learning rate by step."""
    method, steps, rate = schedule.get("method", "constant"), schedule.get("total", 0), rule["learning_rate"]
    if method == "cosine":
        return optax.cosine_decay_schedule(rate, steps, schedule["final"])
    if method == "exponential":
        return optax.exponential_decay(rate * schedule["start"], steps, schedule["final"] / schedule["start"])
    if method == "one_cycle":
        return optax.cosine_onecycle_schedule(steps, rate, schedule["peak"], 1 / schedule["start"], schedule["start"] / schedule["final"])
    if method == "linear":
        start, peak, final = (schedule.get(k, 0) for k in ("start", "peak", "final"))
        down = optax.linear_schedule(rate, rate * final, steps - round(peak * steps))
        if peak == 0:
            return down
        up = round(peak * steps)
        return optax.join_schedules([optax.linear_schedule(rate * start, rate, up), down], [up])
    assert method == "constant", method
    return rate


def orthogonalized(rule):
    """The part of Muon that changes the direction of an update, for the transpose of gputrain's matrix."""
    def update(updates, state, params=None):
        return orthogonalize_via_newton_schulz(updates, jnp.asarray(NEWTON_SCHULZ), rule["iterations"]), state
    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def optimizer_of(rule, schedule):
    rate, decay = rate_of(rule, schedule), rule.get("weight_decay", 0)
    if callable(rate):
        by_step = rate
        rate = lambda count: by_step(jnp.asarray(count, jnp.float64))  # of whole numbers optax computes a float32
    if rule["method"] == "sgd":
        return optax.chain(optax.add_decayed_weights(decay), optax.sgd(rate, rule.get("momentum"), rule.get("nesterov", False)))
    if rule["method"] == "adam":
        return optax.chain(optax.add_decayed_weights(decay), optax.adam(rate, rule["beta1"], rule["beta2"], rule["epsilon"]))
    if rule["method"] == "adamw":
        return optax.adamw(rate, rule["beta1"], rule["beta2"], rule["epsilon"], weight_decay=decay)
    if rule["method"] == "lion":
        return optax.lion(rate, rule["beta1"], rule["beta2"], weight_decay=decay)
    assert rule["method"] == "muon", rule
    if not rule.get("nesterov"):
        return optax.contrib.muon(rate, NEWTON_SCHULZ, rule["iterations"], rule["momentum"], weight_decay=decay, nesterov=False)
    # optax's own Nesterov form corrects gradient and momentum by factors that differ, as Nadam does. Jordan's doesn't.
    return optax.chain(
        optax.trace(rule["momentum"], nesterov=True), orthogonalized(rule), scale_by_shape(MuonDimensionNumbers()),
        optax.add_decayed_weights(decay), optax.scale_by_learning_rate(rate),
    )


def course(case):
    """The values after each step."""
    shape = lambda values: jnp.asarray(values, jnp.float64).reshape(case["rows"], -1).T  # optax's matrices are (inputs, outputs)
    optimizer, lookahead = optimizer_of(case["rule"], case.get("schedule", {})), case.get("lookahead")
    params = shape(case["first"])
    if lookahead:
        assert lookahead["start"] == lookahead["final"], lookahead
        optimizer = optax.lookahead(optimizer, lookahead["every"], lookahead["start"])
        params = optax.LookaheadParams.init_synced(params)
    state, update, out = optimizer.init(params), jax.jit(optimizer.update), []
    for gradient in case["gradients"]:
        updates, state = update(shape(gradient), state, params)
        params = optax.apply_updates(params, updates)
        out.append((params.fast if lookahead else params).T.ravel().tolist())
    return out


json.dump([course(case) for case in json.load(sys.stdin)], sys.stdout)
